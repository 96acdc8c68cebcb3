"""Scenes whose truth is known, the way from an image to boxes and crops and back, and the gate of the scene models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from images_table import SHEET

from payloads.vision import geometry
from payloads.vision.evaluate import match
from payloads.vision.gate import JUDGES, Judged, verdict
from payloads.vision.geometry import Boxes
from payloads.vision.ink import ink
from payloads.vision.scenes import CANVAS, Glyphs, Scene, compose, glyphs, landmarks
from payloads.vision.settings import VisionSettings
from payloads.vision.tasks import TASKS, detector_batch


@pytest.fixture(scope="module")
def source() -> Glyphs:
    return glyphs("train", split_seed=42)


@pytest.fixture(scope="module")
def scenes(source: Glyphs) -> list[Scene]:
    return [compose(source, (7, number)) for number in range(40)]


def test_a_scene_is_its_seed(source: Glyphs):
    one, same, other = (compose(source, seed) for seed in ((7, 1), (7, 1), (7, 2)))
    assert np.array_equal(one.image, same.image)
    assert np.array_equal(one.points, same.points)
    assert not np.array_equal(one.image, other.image)


def test_held_out_scenes_show_other_handwriting(source: Glyphs):
    held_out = glyphs("test", split_seed=42)
    seen = {scan.tobytes() for scan in source.images}
    assert sum(scan.tobytes() in seen for scan in held_out.images) <= 0.01 * len(held_out.images)
    assert len(held_out.labels) > 200


def test_boxes_hold_their_points_and_do_not_overlap(scenes: list[Scene]):
    assert {len(scene.labels) for scene in scenes} >= {0, 1, 2, 3, 4}
    for scene in scenes:
        assert (scene.boxes >= 0).all()
        assert (scene.boxes <= CANVAS).all()
        assert (scene.points >= scene.boxes[:, None, :2] - 1e-3).all()
        assert (scene.points <= scene.boxes[:, None, 2:] + 1e-3).all()
        assert (np.triu(geometry.overlaps(scene.boxes, scene.boxes), k=1) == 0).all()


def test_the_landmarks_of_a_cross_are_its_tips():
    cross = np.zeros((11, 21), np.float32)
    cross[2:9, 10] = cross[5, 4:17] = 1
    box, points = landmarks(cross)
    assert box.tolist() == [4, 2, 17, 9]
    centre, top, bottom, left, right = points.tolist()
    assert centre == pytest.approx([10.5, 5.5])
    assert (top, bottom) == ([10.5, 2], [10.5, 9])
    assert (left, right) == ([4, 5.5], [17, 5.5])


def test_ink_is_the_same_for_a_negative_and_for_half_the_contrast():
    sheet = np.full((50, 50), 230, np.uint8)
    sheet[10:20, 10:20] = 30
    assert np.array_equal(ink(sheet), ink(255 - sheet))
    faint = np.full((50, 50), 150, np.uint8)
    faint[10:20, 10:20] = 50
    assert np.array_equal(ink(sheet), ink(faint))
    assert ink(np.full((50, 50), 77, np.uint8)).max() == 0


def test_faint_grain_of_a_blank_sheet_stays_faint():
    grain = np.random.default_rng(0).integers(120, 126, (60, 60)).astype(np.uint8)
    assert ink(grain).max() < 40


def test_the_boxes_that_targets_were_made_from_come_back(scenes: list[Scene]):
    """A detector that outputs its targets finds every digit, in an image of any size."""
    _, heat, places = detector_batch(scenes, np.random.default_rng(0))
    for scene, each, rest in zip(scenes, heat, places, strict=True):
        maps = torch.cat([torch.logit(each[None].clamp(1e-4, 1 - 1e-4)), rest])
        boxes = geometry.peaks(maps, (CANVAS, CANVAS), least=0.9, most=50)
        assert len(boxes.places) == len(scene.boxes)
        assert set(match(boxes, scene).values()) == set(range(len(scene.boxes)))
        best = geometry.overlaps(boxes.places, scene.boxes).max(axis=1, initial=0)
        assert (best > 0.97).all()
        doubled = geometry.peaks(maps, (CANVAS, 2 * CANVAS), least=0.9, most=50)
        np.testing.assert_allclose(doubled.places, np.minimum(boxes.places * 2, [192, 96, 192, 96]), atol=1e-3)


def test_one_digit_is_found_once():
    maps = torch.full((5, geometry.CELLS, geometry.CELLS), -9.0)
    maps[1:] = 0
    maps[0, 10, 10], maps[0, 10, 12] = 3.0, 2.0  # two peaks 8 pixels apart, boxes of 24
    boxes = geometry.peaks(maps, (CANVAS, CANVAS), least=0.5, most=50)
    assert len(boxes.places) == 1
    assert boxes.scores[0] == pytest.approx(1 / (1 + np.exp(-3)))


def test_a_box_finds_at_most_one_digit_and_a_digit_is_found_once():
    place = np.array([[10, 10, 30, 30]], np.float32)
    scene = Scene(SHEET, place, np.array([3]), np.zeros((1, 5, 2), np.float32))
    assert match(Boxes(np.repeat(place, 2, axis=0), np.array([0.9, 0.8], np.float32)), scene) == {0: 0}
    assert match(Boxes(place + 12, np.array([0.9], np.float32)), scene) == {}
    assert match(Boxes(place[:0], np.zeros(0, np.float32)), scene) == {}


def test_what_is_cut_is_what_is_there_and_ground_beyond_the_border():
    image = np.zeros((40, 40), np.uint8)
    image[0:10, 0:10] = 255
    crops = geometry.crop_places(np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32))
    corner, blank = geometry.cut(image, crops)
    assert blank.max() == 0
    side = (crops[0, 2] - crops[0, 0]).item()
    assert corner.mean() == pytest.approx(100 / side**2, rel=0.02)
    assert corner[0, 0, 0] == 0, "beyond the border is ground"


def test_points_go_into_a_crop_and_back(scenes: list[Scene]):
    scene = max(scenes, key=lambda each: len(each.boxes))
    crops = geometry.crop_places(scene.boxes)
    shares = geometry.points_in_crop(scene.points, crops)
    assert ((shares > 0) & (shares < 1)).all()
    np.testing.assert_allclose(geometry.points_in_image(shares, crops), scene.points, atol=1e-4)


@pytest.mark.parametrize(
    ("challenger", "champion", "passed", "words"),
    [
        (Judged({}, 0.95, ()), None, True, "there was no champion"),
        (Judged({}, 0.95, ("F1 0.8 is below", "more")), None, False, "F1 0.8 is below and more"),
        (Judged({}, 0.95, ()), Judged({}, 0.96, ()), False, "below the champion's 0.9600"),
        (Judged({}, 0.95, ()), Judged({}, 0.95, ()), True, "the champion has 0.9500"),
    ],
)
def test_a_scene_model_must_be_good_and_no_worse(challenger: Judged, champion: Any, passed: bool, words: str):
    found = verdict(challenger, champion)
    assert found.passed is passed
    assert words in found.reason


@pytest.mark.parametrize("name", ["detector", "reader"])
def test_a_model_that_has_learned_nothing_does_not_pass(name: str, scenes: list[Scene]):
    settings = VisionSettings(run_name="a")
    width = settings.detector_width if name == "detector" else settings.reader_width
    judged = JUDGES[name](TASKS[name].network(width).eval(), scenes[:10], settings)
    assert not verdict(judged, None).passed
    assert "gate of 0.95" in verdict(judged, None).reason
