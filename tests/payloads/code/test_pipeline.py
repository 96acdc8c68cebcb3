"""The stages of the pipeline alone: images that are none, words, and HTTP with a binary body."""

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
import schemathesis
from hypothesis import HealthCheck, given, settings
from images_table import BAD_IMAGES, JPEG, PNG, SHEET, BadImage, as_jpeg, as_npy, as_png, bomb
from PIL import Image
from pydantic import ValidationError
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from starlette.types import ASGIApp

from payloads.serving.http import RefusedError
from payloads.serving.pipeline.describe import Found, Read, describe, sentence
from payloads.serving.pipeline.images import CONTENT_TYPES, Refusal, decode
from payloads.serving.pipeline.ingress import Pipeline, parse
from payloads.serving.pipeline.settings import PipelineArgs
from payloads.serving.pipeline.stages import Decode, Describe
from payloads.vision.ink import ink
from payloads.vision.scenes import POINTS

LIMIT = 16_000_000


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


@pytest.mark.parametrize("form", [as_png, as_jpeg, as_npy])
def test_damage_anywhere_in_a_file_is_a_refusal_or_another_picture(form: Any):
    """Never an exception: each is what the server would call its own failure."""
    body = form(SHEET)
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(body)
        for place in rng.integers(0, min(len(body), int(rng.choice([64, 256, len(body)]))), 3):
            damaged[place] = rng.integers(256)
        found = decode(bytes(damaged), LIMIT)
        assert isinstance(found, Refusal) or found.dtype == np.uint8


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


def served(delay_s: float = 0.0, **args: Any) -> ASGIApp:
    settings = PipelineArgs(max_pixels=LIMIT, **args)
    decoding, telling = Later(Decode(settings).read, delay_s), Later(Describe().tell)
    return Pipeline(settings, decoding, Later(_find), Later(_read), telling).__serve_build_asgi_app__()  # type: ignore[arg-type]


def call(app: ASGIApp, method: str, path: str, **request: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **request)

    return asyncio.run(go())


def post(body: bytes, content_type: str, delay_s: float = 0.0, **args: Any) -> httpx.Response:
    return call(served(delay_s, **args), "POST", "/describe", content=body, headers={"content-type": content_type})


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
    operation = call(served(), "GET", "/openapi.json").json()["paths"]["/describe"]["post"]
    assert set(operation["requestBody"]["content"]) == set(CONTENT_TYPES)
    assert {bad.status for bad in BAD_IMAGES} | {200, 413, 503, 504} <= {int(code) for code in operation["responses"]}


def test_whatever_is_sent_is_answered_as_the_schema_says():
    """To the schema any bytes are an image."""
    app = served()
    schema = schemathesis.openapi.from_dict(call(app, "GET", "/openapi.json").json())
    (operation,) = [found.ok() for found in schema.get_all_operations()]
    conformance = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]

    @settings(max_examples=8, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy())
    def ask(case: Any) -> None:
        request = case.as_transport_kwargs(base_url="http://test")
        headers = dict(request.get("headers") or {})
        answer = call(app, request["method"], "/describe", content=request.get("data") or b"", headers=headers)
        case.validate_response(answer, checks=conformance)

    ask()


def test_an_unknown_argument_is_named():
    with pytest.raises(ValidationError, match="max_pixel"):
        PipelineArgs.model_validate({"max_pixel": 1})
    assert json.loads(PipelineArgs().model_dump_json())["detector"]["model_name"] == "scenes-detector"
