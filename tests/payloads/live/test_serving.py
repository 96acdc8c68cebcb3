"""The classifier on real Ray Serve behind HAProxy, as RayService runs it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quick import Quick, train_quickly
from requests_table import BAD_REQUESTS, MARKER, Bad
from serve_process import Server, environment

from infra.monitoring import GROUPS
from infra.monitoring.dashboards import expressions
from infra.monitoring.rule import metric_names
from payloads.common.settings import Platform
from payloads.common.tracking import connect, find_or_create
from payloads.training.register import CHAMPION, crown, log_model, register
from tests.own_mlflow import default_restored
from tests.unit.infra.monitoring.metrics import ELSEWHERE

# How often Ray's processes report their metrics; it is ten seconds by default.
REPORT_MS = 1000


# A member that answers after its deadline, as its batches wait for a second, and a weaker challenger in the shadow.
ENSEMBLE = {
    "members": [
        {"name": "good", "model_name": "served"},
        {"name": "slow", "model_name": "served", "batch_wait_timeout_s": 1.0},
    ],
    "deadline_s": 0.8,
    "shadow": {"name": "weak", "model_name": "weak"},
}

# Fewer models in memory than there are, and one that the registry does not have.
MANY = {"models": ["served", "weak", "gone"], "kept": 1}


@pytest.fixture(scope="module")
def weak() -> Quick:
    return train_quickly(epochs=1)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, quick: Quick, weak: Quick) -> Iterator[str]:
    """A registry in a file, with two models' champions in it. Nothing in the namespace can reach a server."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder}/mlflow.db"
    with default_restored():
        _fill(uri, folder, quick, weak)
        yield uri


def _fill(uri: str, folder: Path, quick: Quick, weak: Quick) -> None:
    client = connect(Platform(storage="s3://unused", mlflow_uri=uri, patience_s=1))
    client.create_experiment("served", artifact_location=(folder / "artifacts").as_uri())
    run = find_or_create(client, "served", "key", "served")
    model_uri = log_model(run, quick.model, quick.pixels[:2], quick.classes)
    version = register(client, "served", model_uri, run, {"accuracy": "0.97"})
    crown(client, "served", version.version)
    assert client.get_model_version_by_alias("served", CHAMPION).version == version.version
    weak_run = find_or_create(client, "served", "weak", "weak")
    weak_uri = log_model(weak_run, weak.model, weak.pixels[:2], weak.classes)
    crown(client, "weak", register(client, "weak", weak_uri, weak_run, {}).version)


@pytest.fixture(scope="module")
def server(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("serve")
    arguments = [json.dumps({"model_name": "served"}), json.dumps(ENSEMBLE), json.dumps(MANY)]
    variables = {**environment(registry), "RAY_metrics_report_interval_ms": str(REPORT_MS)}
    server = Server("serve_server.py", arguments, variables, folder / "serve.log")
    yield server
    server.stop()


def test_real_digits_are_recognised_over_http(server: Server, quick: Quick):
    answer = server.ask("POST", "/predict", {"rows": quick.pixels.tolist()})
    assert answer["status"] == 200, answer["body"]
    body = json.loads(answer["body"])
    labels = np.array([prediction["label"] for prediction in body["predictions"]])
    wanted = np.array(quick.classes)[quick.targets]
    assert (labels == wanted).mean() >= 0.95
    assert (labels == np.array(quick.classes)[quick.labels(quick.pixels)]).mean() >= 0.995, "as the model itself says"


def test_one_image_gets_label_confidence_version_and_request_id(server: Server, quick: Quick):
    answer = server.ask("POST", "/predict", {"pixels": quick.pixels[0].tolist()}, headers={"x-request-id": "mine-1"})
    body = json.loads(answer["body"])
    assert set(body) == {"label", "confidence", "model_version", "request_id"}
    assert body["label"] == quick.classes[quick.labels(quick.pixels[:1])[0]]
    assert body["confidence"] == pytest.approx(quick.probabilities(quick.pixels[:1]).max(), abs=1e-4)
    assert body["model_version"] == "1"
    assert body["request_id"] == "mine-1"


def test_whole_numbers_are_numbers(server: Server):
    assert server.ask("POST", "/predict", {"pixels": [0, 16] * 32})["status"] == 200


def test_clients_at_once_get_each_their_own_answer(server: Server, quick: Quick):
    rows = {"rows": quick.pixels[:5].tolist()}
    alone = json.loads(server.ask("POST", "/predict", rows)["body"])["predictions"]
    answers = server.ask("POST", "/predict", rows, clients=24, times=5)
    assert len(answers) == 120
    for answer in answers:
        assert answer["status"] == 200
        found = json.loads(answer["body"])["predictions"]
        assert [prediction["label"] for prediction in found] == [prediction["label"] for prediction in alone]


@pytest.mark.parametrize("bad", BAD_REQUESTS, ids=lambda bad: bad.name)
def test_a_bad_request_gets_one_sentence_and_no_echo(server: Server, bad: Bad):
    headers = {"content-type": bad.content_type}
    answer = server.ask("POST", "/predict", bad.body, headers=headers)
    assert answer["status"] == bad.status, answer["body"]
    failure = json.loads(answer["body"])
    assert bad.words in failure["error"]
    assert MARKER not in answer["body"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/predict", 405), ("GET", "/nope", 404)])
def test_unknown_paths_and_methods_fail_in_the_same_form(server: Server, method: str, path: str, status: int):
    answer = server.ask(method, path)
    assert answer["status"] == status
    assert set(json.loads(answer["body"])) == {"error", "code", "request_id"}


def test_health_and_model_say_what_is_served(server: Server):
    assert json.loads(server.ask("GET", "/healthz")["body"]) == {"status": "ok", "model_version": "1"}
    card = json.loads(server.ask("GET", "/model")["body"])
    assert card["model_name"] == "served"
    assert card["classes"] == [str(digit) for digit in range(10)]
    assert card["tags"] == {"accuracy": "0.97"}


def test_too_many_at_once_get_503_and_a_time_to_come_back(server: Server, quick: Quick):
    """The narrow application takes two at a time and lets two wait, each for the second that its batch takes."""
    answers = server.ask("POST", "/narrow/predict", {"pixels": quick.pixels[0].tolist()}, clients=16, times=1)
    statuses = [answer["status"] for answer in answers]
    assert set(statuses) == {200, 503}
    for answer in answers:
        if answer["status"] == 503:
            assert re.fullmatch(r"\d+", answer["headers"]["retry-after"])
    assert server.ask("POST", "/narrow/predict", {"pixels": [0] * 64})["status"] == 200, "and it recovers"


def test_a_challenger_in_the_shadow_is_compared_and_not_heard(server: Server, quick: Quick, weak: Quick):
    """The first request that the ensemble gets, so that the count is of its rows alone."""
    rows = quick.pixels[100:160]
    body = json.loads(server.ask("POST", "/ensemble/predict", {"rows": rows.tolist()})["body"])
    served = quick.labels(rows)
    assert [prediction["label"] for prediction in body["predictions"]] == [quick.classes[place] for place in served]
    deadline = time.monotonic() + 20
    while not (found := json.loads(server.ask("GET", "/ensemble/shadow")["body"]))["rows"]:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    same = int((weak.labels(rows) == served).sum())
    assert same < 60, "there is something to see"
    assert found == {"rows": 60, "same": same, "skipped": 0, "failed": 0}


def test_a_late_member_is_left_out_and_named(server: Server, quick: Quick):
    answer = server.ask("POST", "/ensemble/predict", {"rows": quick.pixels[:20].tolist()})
    assert answer["status"] == 200, answer["body"]
    body = json.loads(answer["body"])
    assert body["members"] == {"good": "1"}
    assert body["missing"] == {"slow": "late"}
    labels = [prediction["label"] for prediction in body["predictions"]]
    assert labels == [quick.classes[place] for place in quick.labels(quick.pixels[:20])]


@pytest.mark.parametrize("bad", BAD_REQUESTS, ids=lambda bad: bad.name)
def test_an_ensemble_refuses_what_the_classifier_refuses(server: Server, bad: Bad):
    answer = server.ask("POST", "/ensemble/predict", bad.body, headers={"content-type": bad.content_type})
    assert answer["status"] == bad.status, answer["body"]
    assert bad.words in json.loads(answer["body"])["error"]
    assert MARKER not in answer["body"]


def test_one_image_is_shown_to_several_models(server: Server, quick: Quick, weak: Quick):
    for place in range(3):
        body = {"models": ["served", "weak"], "pixels": quick.pixels[place].tolist()}
        answer = server.ask("POST", "/many/tag", body)
        assert answer["status"] == 200, answer["body"]
        tags = json.loads(answer["body"])["tags"]
        assert tags["served"]["label"] == quick.classes[quick.labels(quick.pixels[place : place + 1])[0]]
        assert tags["weak"]["label"] == weak.classes[weak.labels(quick.pixels[place : place + 1])[0]]


def test_a_model_that_cannot_be_loaded_is_left_out_and_the_others_answer(server: Server, quick: Quick):
    body = {"models": ["gone", "served"], "pixels": quick.pixels[0].tolist()}
    answer = json.loads(server.ask("POST", "/many/tag", body)["body"])
    assert set(answer["tags"]) == {"served"}
    assert answer["missing"] == {"gone": "failed"}
    alone = server.ask("POST", "/many/tag", {"models": ["gone"], "pixels": quick.pixels[0].tolist()})
    assert alone["status"] == 503


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"models": ["secret"], "pixels": [0] * 64}, 404, "models: one is not served here"),
        ({"models": ["served", "served"], "pixels": [0] * 64}, 422, "named twice"),
        ({"models": [], "pixels": [0] * 64}, 422, "models: "),
        ({"models": ["served"], "pixels": [17] * 64}, 422, "pixels[0]: "),
        ({"models": ["served"]}, 422, "pixels: "),
        ({"models": ["served"], "pixels": [0] * 64, "more": 1}, 422, "a key other than models and pixels"),
        ([1], 422, "not a JSON object with models and pixels"),
    ],
)
def test_a_request_for_many_models_is_checked_as_strictly(server: Server, body: Any, status: int, words: str):
    answer = server.ask("POST", "/many/tag", body)
    assert answer["status"] == status, answer["body"]
    assert words in json.loads(answer["body"])["error"]
    assert "secret" not in answer["body"]


def test_every_metric_of_ray_that_a_rule_or_a_dashboard_asks_for_is_exported(server: Server):
    asked = {name for group in GROUPS for rule in group.rules for name in metric_names(rule.expr)}
    asked |= {name for expr in expressions() for name in metric_names(expr)}
    wanted = {name for name in asked if name.startswith("ray_")} - set(ELSEWHERE)
    assert len(wanted) > 15
    assert server.ask("GET", "/predict")["status"] == 405, "errors are counted once there was one"
    missing = wanted - set(server.ask("METRICS", "", wanted=sorted(wanted), later=3 * REPORT_MS / 1000))
    assert not missing, "a newer Ray calls them otherwise, or only some machines have them (metrics.py)"


def test_after_all_of_this_the_application_is_healthy(server: Server):
    assert server.ask("STATUS", "") == "RUNNING"
