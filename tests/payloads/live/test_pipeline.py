"""The pipeline on real Ray Serve behind HAProxy: images in, what is in them out, and nothing fetched on the way."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import numpy as np
import pytest
from images_table import BAD_IMAGES, PNG, BadImage, as_png
from quick_vision import QuickVision
from serve_process import Server, environment

from payloads.common.settings import Platform
from payloads.common.tracking import connect, find_or_create
from payloads.training.register import crown, log_model, register
from payloads.vision.evaluate import match
from payloads.vision.geometry import Boxes
from payloads.vision.scenes import CLASSES
from payloads.vision.tasks import TASKS
from tests.own_mlflow import default_restored

PATH = "/describe"
ARGS = {"max_pixels": 16_000_000, "max_body_bytes": 1 << 20, "deadline_s": 30}


@pytest.fixture(scope="module")
def server(quick_vision: QuickVision, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("pipeline")
    uri = f"sqlite:///{folder}/mlflow.db"
    with default_restored():
        client = connect(Platform(storage="s3://unused", mlflow_uri=uri, patience_s=1))
        client.create_experiment("scenes", artifact_location=(folder / "artifacts").as_uri())
        for name, model in (("detector", quick_vision.detector), ("reader", quick_vision.reader)):
            run = find_or_create(client, "scenes", name, name)
            example = np.zeros((2, *TASKS[name].shape), np.float32)
            version = register(client, f"scenes-{name}", log_model(run, model, example, CLASSES), run, {})
            crown(client, f"scenes-{name}", version.version)
    server = Server("pipeline_server.py", [json.dumps(ARGS)], environment(uri), folder / "serve.log")
    yield server
    server.stop()


def post(server: Server, body: bytes, content_type: str = PNG, **rest: object) -> dict:
    return server.ask("POST", PATH, body, headers={"content-type": content_type}, **rest)


def test_scenes_are_read_over_http(server: Server, quick_vision: QuickVision):
    digits = found = right = 0
    for scene in quick_vision.scenes[:30]:
        answer = post(server, as_png(scene.image))
        assert answer["status"] == 200, answer["body"]
        body = json.loads(answer["body"])
        assert (body["width"], body["height"]) == (96, 96)
        assert body["models"] == {"detector": "1", "reader": "1"}
        boxes = Boxes(
            np.array([digit["box"] for digit in body["digits"]], np.float32).reshape(-1, 4),
            np.array([digit["score"] for digit in body["digits"]], np.float32),
        )
        pairs = match(boxes, scene)
        digits += len(scene.boxes)
        found += len(pairs)
        right += sum(body["digits"][box]["label"] == CLASSES[scene.labels[digit]] for box, digit in pairs.items())
        for digit in body["digits"]:
            assert f"{digit['label']} at " in body["description"]
    assert digits > 60
    assert found >= 0.85 * digits
    assert right >= 0.75 * found


def test_many_clients_get_each_their_own_answer(server: Server, quick_vision: QuickVision):
    body = as_png(quick_vision.scenes[3].image)
    alone = json.loads(post(server, body)["body"])
    assert alone["digits"]
    answers = post(server, body, clients=8, times=3)
    for answer in answers:
        assert answer["status"] == 200
        found = json.loads(answer["body"])
        assert found["description"] == alone["description"]
        assert found["request_id"] != alone["request_id"]


def test_a_large_image_is_shared_by_the_stages_and_never_fetched_by_the_ingress(
    server: Server, quick_vision: QuickVision
):
    """9 megapixels of a few hundred kilobytes of PNG: where the pixels are, shared memory grows by 9 MB."""
    image = np.kron(quick_vision.scenes[3].image // 128 * 128, np.ones((32, 32), np.uint8))
    before = server.ask("MEMORY", "")
    answer = post(server, as_png(image))
    assert answer["status"] == 200, answer["body"]
    after = server.ask("MEMORY", "")
    grown = {name: after[name] - before[name] for name in after}
    assert grown["detect"] > 0.9 * image.size, grown
    assert grown["keypoints"] > 0, grown
    assert grown["pipeline"] < 0.1 * image.size, grown


@pytest.mark.parametrize("bad", BAD_IMAGES, ids=lambda bad: bad.name)
def test_what_is_no_image_gets_one_sentence(server: Server, bad: BadImage):
    answer = post(server, bad.body, bad.content_type)
    assert answer["status"] == bad.status, answer["body"]
    assert bad.words in json.loads(answer["body"])["error"]


def test_a_large_body_is_refused(server: Server):
    answer = post(server, as_png(np.random.default_rng(0).integers(0, 255, (1200, 1200), np.uint8)))
    assert answer["status"] == 413, answer["body"]
    assert "send a smaller image" in json.loads(answer["body"])["error"]


def test_after_all_of_this_a_scene_is_still_read(server: Server, quick_vision: QuickVision):
    stream = io.BytesIO()
    np.save(stream, quick_vision.scenes[3].image)
    answer = post(server, stream.getvalue(), "application/x-npy")
    assert answer["status"] == 200
    assert json.loads(answer["body"])["digits"]
