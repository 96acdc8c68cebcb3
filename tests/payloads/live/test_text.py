"""The summariser on real Ray and S3: its training, and a model of the storage served over HTTP, whole and in pieces."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from drivers import drive, drive_until
from ray import serve
from writing import scribbler

from payloads.common.settings import read_platform
from payloads.common.storage import open_storage
from payloads.common.tracking import connect
from payloads.serving.text.app import app
from payloads.text import network, put, store, train
from payloads.text.notes import note

TEXT = note(3, 0).text
MOST = 2000


@pytest.fixture(scope="module")
def url(serve_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model that never ends by itself, put where servers find it by the command that is there for that."""
    folder = tmp_path_factory.mktemp("scribbler")
    for part in scribbler(endless=True):
        part.save_pretrained(folder)
    done = drive(put.main, model_name="scribbler", folder=folder)
    assert done.status == 0, done.text
    args = {"model_name": "scribbler", "max_new_tokens": MOST, "max_input_tokens": 60, "deadline_s": 120}
    serve.run(app(args), name="text", route_prefix="/text")
    yield f"{serve_url}/text"
    serve.delete("text")


def tally(url: str) -> dict[str, int]:
    return httpx.get(f"{url}/generations", timeout=60).json()


def test_a_training_that_is_killed_goes_on_and_publishes_a_whole_model(ray_cluster: str, tmp_path: Path):
    """Too short to learn the task: the gate is asked for little, and what came is judged by the run's own words."""
    small = {"notes": 192, "epochs": 3, "width": 16, "layers": 1, "test_notes": 8, "validation_notes": 16}
    flags = {"run_name": "brief", "model_name": "brief", "gate_exact": 0, "num_workers": 1, **small}
    killed = drive_until("payloads.text.train", ray_cluster, lambda line: "epoch 2/3" in line, **flags)
    assert killed.status == -signal.SIGKILL, killed.text
    done = drive(train.main, **flags)
    assert done.status == 0, done.text
    assert 2 <= done.epochs[0] <= done.epochs[-1] == 3, "the newest checkpoint may not have been recorded"
    logged = connect(read_platform()).get_metric_history(done.result["run_id"], "loss")
    assert sorted(metric.step for metric in logged) == [1, 2, 3]

    assert done.result["published"]
    storage = open_storage(read_platform())
    assert store.latest(storage, "brief") == done.result["version"]
    store.fetch(storage, "brief", done.result["version"], tmp_path)
    example = done.result["example"]
    assert network.summarise(*network.load(tmp_path), [example["text"]], 12)[0] == example["summary"]


def test_the_answer_is_what_the_model_writes(url: str):
    answer = httpx.post(f"{url}/summarise", json={"text": TEXT, "max_new_tokens": 12}, timeout=60)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["summary"] == network.summarise(*scribbler(endless=True), [TEXT], 12)[0].strip()
    assert (body["tokens"], body["finish"]) == (12, "length")
    assert body["model_version"] == store.latest(open_storage(read_platform()), "scribbler")
    assert httpx.get(f"{url}/model", timeout=30).json()["device"] == "cpu"


def test_a_stream_comes_in_pieces_and_ends_with_the_whole(url: str):
    body = {"text": TEXT, "max_new_tokens": 40}
    pieces, last = [], {}
    with httpx.stream("POST", f"{url}/summarise/stream", json=body, timeout=60) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                last = json.loads(line.removeprefix("data: "))
                pieces.append(last.get("text", ""))
    assert len(pieces) > 5
    assert last["summary"] == "".join(pieces).strip()
    assert last == httpx.post(f"{url}/summarise", json=body, timeout=60).json() | {"request_id": last["request_id"]}


@pytest.mark.parametrize("path", ["/summarise/stream", "/summarise"])
def test_a_client_that_goes_away_stops_the_generation(url: str, path: str):
    before = tally(url)
    timeout = httpx.Timeout(60, read=60 if path.endswith("stream") else 0.5)
    try:
        with httpx.stream("POST", f"{url}{path}", json={"text": TEXT}, timeout=timeout) as answer:
            next(answer.iter_lines())
    except httpx.ReadTimeout:
        assert path == "/summarise"
    deadline = time.monotonic() + 30
    while (now := tally(url))["abandoned"] == before["abandoned"]:
        assert time.monotonic() < deadline, now
        time.sleep(0.1)
    assert now["running"] == 0
    assert now["tokens"] - before["tokens"] < MOST
    time.sleep(0.3)
    assert tally(url)["tokens"] - now["tokens"] <= 1, "at most the token that was under way"


def test_a_text_that_is_too_long_is_refused_before_anything_is_written(url: str):
    for path in ("/summarise", "/summarise/stream"):
        answer = httpx.post(f"{url}{path}", json={"text": "sales rose . " * 60}, timeout=60)
        assert answer.status_code == 422, answer.text
        assert "tokens, more than 60" in answer.json()["error"]
