"""The parts of the pipeline alone: scenes, places, images that are none, words, HTTP with a binary body."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from images_table import BAD_IMAGES, JPEG, PNG, SHEET, BadImage, as_jpeg, as_npy, as_png, bomb
from PIL import Image
from pydantic import ValidationError

from payloads.serving.http import RefusedError
from payloads.serving.pipeline.describe import Found, Read, describe, sentence
from payloads.serving.pipeline.images import CONTENT_TYPES, Refusal, decode
from payloads.serving.pipeline.ingress import Pipeline, parse
from payloads.serving.pipeline.settings import PipelineArgs
from payloads.serving.pipeline.stages import Decode, Describe
from payloads.vision import geometry
from payloads.vision.evaluate import match
from payloads.vision.gate import Judged, verdict
from payloads.vision.geometry import Boxes
from payloads.vision.ink import ink
from payloads.vision.scenes import CANVAS, POINTS, Glyphs, Scene, compose, glyphs, landmarks
from payloads.vision.tasks import detector_batch

LIMIT = 16_000_000


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


@pytest.mark.parametrize("bad", [bad for bad in BAD_IMAGES if bad.status in (400, 422)], ids=lambda bad: bad.name)
def test_what_is_no_image_is_refused_in_one_sentence(bad: BadImage):
    try:
        found = decode(parse(bad.body), LIMIT)
    except RefusedError as error:
        found = Refusal(error.status, error.sentence)
    assert isinstance(found, Refusal)
    assert found.status == bad.status
    assert bad.words in found.sentence
    assert "tell-no-one" not in found.sentence


def test_a_bomb_is_refused_before_its_pixels_are_made():
    """900 megapixels would take 900 MB; the process that refuses them may not even hold 60 MB more than before."""
    script = (
        "import resource, sys\n"
        "from payloads.serving.pipeline.images import decode\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(decode(sys.stdin.buffer.read(), 16_000_000).status)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], input=bomb(30_000, 30_000), capture_output=True, check=True)
    status, grown_kb = map(int, done.stdout.split())
    assert status == 422
    assert grown_kb < 60_000


def pixels(body: bytes) -> np.ndarray:
    found = decode(body, LIMIT)
    assert isinstance(found, np.ndarray), found
    assert found.dtype == np.uint8
    return found


def test_the_same_picture_in_every_form_is_the_same_ink():
    picture = np.full((40, 60), 250, np.uint8)
    picture[10:30, 20:30] = 10
    wanted = ink(picture)
    assert np.array_equal(pixels(as_png(picture)), wanted)
    assert np.array_equal(pixels(as_npy(picture)), wanted)
    assert np.array_equal(pixels(as_npy(np.stack([picture] * 3, axis=2))), wanted)
    assert np.array_equal(pixels(as_png(picture.astype(np.uint16) * 257)), wanted), "16 bits"
    assert np.abs(pixels(as_jpeg(picture)).astype(int) - wanted).mean() < 5


def test_what_is_transparent_is_ground():
    strokes = np.zeros((40, 60, 4), np.uint8)
    strokes[10:30, 20:30, 3] = 255  # black on nothing
    found = pixels(as_png(strokes))
    assert found[20, 25] == 255
    assert found[0, 0] == 0


def test_a_photograph_is_turned_upright():
    picture = np.full((40, 60), 250, np.uint8)
    picture[5:10, 5:50] = 0
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # EXIF orientation: to be turned by 90 degrees clockwise
    Image.fromarray(picture).save(stream, "JPEG", exif=exif)
    assert pixels(stream.getvalue()).shape == (60, 40)


def found_at(*places: tuple[float, float, float, float]) -> Found:
    boxes = np.array(places, np.float32).reshape(-1, 4)
    return Found(boxes, np.full(len(boxes), 0.9, np.float32), (90, 120), "3")


def read_as(*labels: int) -> Read:
    probabilities = np.full((len(labels), 10), 0.01, np.float32)
    probabilities[range(len(labels)), labels] = 0.91
    return Read(probabilities, np.ones((len(labels), len(POINTS), 2), np.float32), "4")


def test_digits_are_told_in_reading_order_with_their_places():
    found = found_at((100, 70, 120, 90), (50, 40, 70, 60), (90, 0, 110, 20), (0, 5, 20, 25))
    answer = describe(found, read_as(7, 0, 4, 2), "r-1")
    assert answer.description == "four digits: 2 at upper left, 4 at upper right, 0 at centre, 7 at lower right"
    assert [digit.label for digit in answer.digits] == ["2", "4", "0", "7"]
    assert answer.digits[0].box == (0, 5, 20, 25)
    assert set(answer.digits[0].points) == set(POINTS)
    assert (answer.width, answer.height) == (120, 90)
    assert answer.models == {"detector": "3", "reader": "4"}
    assert answer.request_id == "r-1"


def test_none_one_and_very_many_digits_have_their_words():
    assert describe(found_at(), read_as(), "r").description == "no digits"
    assert sentence([("5", (1, 0))]) == "one digit: 5 at centre left"
    assert sentence([("5", (2, 1))] * 13).startswith("13 digits: 5 at lower centre, ")


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


class Later:
    """A stage's handle as the ingress uses it, answered in this process: what is passed on stays a reference."""

    def __init__(self, method: Any, delay_s: float = 0.0) -> None:
        self.method = method
        self.delay_s = delay_s

    def options(self, **options: Any) -> Later:
        assert options == {"_by_reference": True}, "or Serve would fetch every image into the ingress"
        return self

    def __getattr__(self, _name: str) -> Later:
        return self

    def remote(self, *arguments: Any) -> Any:
        async def go() -> Any:
            await asyncio.sleep(self.delay_s)
            return await self.method(*[await each if asyncio.isfuture(each) else each for each in arguments])

        return asyncio.ensure_future(go())


async def _find(image: Any) -> Any:
    return image if isinstance(image, Refusal) else found_at((0, 5, 20, 25))


async def _read(image: Any, found: Any) -> Any:
    return found if isinstance(found, Refusal) else read_as(4)


def post(body: bytes, content_type: str, delay_s: float = 0.0, **args: Any) -> httpx.Response:
    settings = PipelineArgs(max_pixels=LIMIT, **args)
    decoding, telling = Later(Decode(settings).read, delay_s), Later(Describe().tell)
    ingress = Pipeline(settings, decoding, Later(_find), Later(_read), telling)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(ingress.__serve_build_asgi_app__(), raise_app_exceptions=False)

    async def go() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            if not body and not content_type:
                return await client.get("/openapi.json")
            headers = {"content-type": content_type} if content_type else {}
            return await client.post("/describe", content=body, headers=headers)

    return asyncio.run(go())


def test_an_image_is_answered_with_words():
    answer = post(as_png(SHEET), PNG)
    assert answer.status_code == 200, answer.text
    assert answer.json()["description"] == "one digit: 4 at upper left"


@pytest.mark.parametrize("bad", BAD_IMAGES, ids=lambda bad: bad.name)
def test_a_bad_image_gets_its_status_and_one_sentence(bad: BadImage):
    answer = post(bad.body, bad.content_type or "application/octet-stream")
    assert answer.status_code == bad.status, answer.text
    assert bad.words in answer.json()["error"]
    assert "tell-no-one" not in answer.text


def test_a_large_body_is_refused_and_told_what_to_do():
    answer = post(as_jpeg(np.random.default_rng(0).integers(0, 255, (99, 99), np.uint8)), JPEG, max_body_bytes=1024)
    assert answer.status_code == 413
    assert answer.json()["error"] == "the body is larger than 1024 bytes: send a smaller image"


def test_a_stage_that_takes_too_long_is_504():
    answer = post(as_png(SHEET), PNG, delay_s=2.0, deadline_s=0.05)
    assert answer.status_code == 504
    assert "within 0.05 s" in answer.json()["error"]


def test_the_schema_documents_every_form_and_every_status():
    operation = post(b"", "").json()["paths"]["/describe"]["post"]
    assert set(operation["requestBody"]["content"]) == set(CONTENT_TYPES)
    assert {bad.status for bad in BAD_IMAGES} | {200, 413, 503, 504} <= {int(code) for code in operation["responses"]}


def test_an_unknown_argument_is_named():
    with pytest.raises(ValidationError, match="max_pixel"):
        PipelineArgs.model_validate({"max_pixel": 1})
    assert json.loads(PipelineArgs().model_dump_json())["detector"]["model_name"] == "scenes-detector"
