"""What the scene models must do on scenes of handwriting that they never saw."""

from __future__ import annotations

import numpy as np
import pytest
from quick_vision import QuickVision

from payloads.vision import evaluate, geometry
from payloads.vision.ink import ink
from payloads.vision.scenes import CANVAS, CLASSES, POINTS


@pytest.fixture(scope="module")
def reading(quick_vision: QuickVision) -> evaluate.Reading:
    return evaluate.reading(quick_vision.reader, quick_vision.scenes)


def test_digits_are_found_and_nothing_else(quick_vision: QuickVision):
    found = evaluate.detection(quick_vision.detector, quick_vision.scenes)
    assert found.digits > 350
    assert found.recall >= 0.9
    assert found.precision >= 0.93


def test_an_empty_sheet_holds_no_digits(quick_vision: QuickVision):
    """Blank, and with noise and specks: the contrast of both is stretched to that of ink."""
    rng = np.random.default_rng(0)
    blank = np.full((CANVAS, CANVAS), 200, np.uint8)
    grain = np.clip(200 + 20 * rng.standard_normal((8, CANVAS, CANVAS)), 0, 255).astype(np.uint8)
    found = evaluate.detect(quick_vision.detector, [ink(blank), *(ink(each) for each in grain)])
    assert sum(len(boxes.places) for boxes in found) <= 1


def test_digits_are_read(reading: evaluate.Reading):
    assert reading.accuracy >= 0.88


def test_points_are_learned_and_not_guessed(quick_vision: QuickVision, reading: evaluate.Reading):
    """Against the best guess without looking at the strokes: for each point its mean place in the box."""
    shares, sizes = [], []
    for scene in quick_vision.scenes:
        corners, extents = scene.boxes[:, None, :2], (scene.boxes[:, 2:] - scene.boxes[:, :2])[:, None, :]
        shares.append((scene.points - corners) / extents)
        sizes.append(extents)
    share, size = np.concatenate(shares), np.concatenate(sizes)
    guessed = np.linalg.norm((share - share.mean(axis=0)) * size, axis=2).mean(axis=0)
    found = reading.errors.mean(axis=0)
    told = {
        name: (round(float(ours), 2), round(float(guess), 2))
        for name, ours, guess in zip(POINTS, found, guessed, strict=True)
    }
    assert found.mean() < 0.8 * guessed.mean(), told
    # The guess knows the box, which the reader has to see for itself; these two move most within it.
    for name in ("left", "right"):
        place = POINTS.index(name)
        assert found[place] < 0.85 * guessed[place], told
    assert reading.point_error <= 2.2, told


def test_an_image_of_twice_the_size_has_the_same_digits_in_twice_the_places(quick_vision: QuickVision):
    scenes = quick_vision.scenes[:40]
    small = evaluate.detect(quick_vision.detector, [ink(scene.image) for scene in scenes])
    large = evaluate.detect(
        quick_vision.detector, [ink(np.kron(scene.image, np.ones((2, 2), np.uint8))) for scene in scenes]
    )
    pairs = [(geometry.overlaps(one.places * 2, two.places), one) for one, two in zip(small, large, strict=True)]
    total = sum(len(one.places) for _, one in pairs)
    assert sum(int((overlap.max(axis=1, initial=0) > 0.7).sum()) for overlap, _ in pairs) >= 0.95 * total > 50


def test_the_negative_of_a_scene_is_read_the_same(quick_vision: QuickVision):
    scenes = [scene for scene in quick_vision.scenes if len(scene.boxes)][:40]
    same = total = 0
    for scene in scenes:
        crops = geometry.crop_places(scene.boxes)
        one, two = (
            evaluate.read(quick_vision.reader, geometry.cut(ink(image), crops))[0].argmax(axis=1)
            for image in (scene.image, 255 - scene.image)
        )
        same += int((one == two).sum())
        total += len(one)
    assert same >= 0.98 * total


def test_every_class_is_read(quick_vision: QuickVision):
    right, seen = np.zeros(len(CLASSES)), np.zeros(len(CLASSES))
    for scene in quick_vision.scenes:
        if not len(scene.boxes):
            continue
        crops = geometry.crop_places(scene.boxes)
        found = evaluate.read(quick_vision.reader, geometry.cut(ink(scene.image), crops))[0].argmax(axis=1)
        np.add.at(seen, scene.labels, 1)
        np.add.at(right, scene.labels, found == scene.labels)
    assert (right / np.maximum(seen, 1)).min() >= 0.6, "a model may not buy its accuracy with one class"
