"""The decision service on real Ray Serve: two replicas, a ledger that is killed, a carrier in the same Serve."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from quick import Quick
from ray import serve
from services import free_port

from payloads.common.settings import read_platform
from payloads.common.tracking import connect, find_or_create
from payloads.serving import member
from payloads.serving.business import app, keys, tariff
from payloads.serving.business.settings import BusinessArgs
from payloads.training.register import crown, log_model, register

MODEL = "digits-business"
KEY, ENTRY = keys.make("acme")
RATE = 60


@pytest.fixture(scope="module")
def model(ray_cluster: str, quick: Quick) -> None:
    client = connect(read_platform())
    run = find_or_create(client, MODEL, "key", MODEL)
    uri = log_model(run, quick.model, quick.pixels[:2], quick.classes)
    crown(client, MODEL, register(client, MODEL, uri, run, {}).version)


@pytest.fixture(scope="module")
def url(model: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    args = BusinessArgs.model_validate(
        {
            "reader": {"name": "reader", "model_name": MODEL},
            "carrier": {"url": f"http://127.0.0.1:{port}/carrier", "timeout_s": 5, "deadline_s": 10},
            "ledger": {"path": str(tmp_path_factory.mktemp("ledger") / "decisions.sqlite"), "rate": f"{RATE}/hour"},
            "history_timeout_s": 5,
            "deadline_s": 20,
        }
    )
    # A Secret gives it to the pods; here Ray runs already.
    given: dict[str, Any] = {"num_cpus": 0.25, "runtime_env": {"env_vars": {keys.VARIABLE: ENTRY}}}
    ingress = app.deployment.options(num_replicas=2, ray_actor_options=given)
    ledger = app.ledger_deployment.options(ray_actor_options={"num_cpus": 0.25})
    serve.run_many(
        [
            serve.RunTarget(ingress.bind(args, member.bind(args.reader), ledger.bind(args.ledger)), name="business"),
            serve.RunTarget(tariff.app({}), name="carrier", route_prefix="/carrier"),
        ]
    )
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()


@pytest.fixture
def parcel(quick: Quick) -> dict[str, Any]:
    sure = int(quick.probabilities(quick.pixels)[quick.targets > 0].max(axis=1).argmax())
    pixels = quick.pixels[quick.targets > 0][sure]
    return {"weight_kg": 2, "declared_value_cents": 10_000, "pixels": pixels.tolist()}


def decide(url: str, parcel: dict[str, Any], key: str) -> httpx.Response:
    headers = {"X-API-Key": KEY, "Idempotency-Key": key}
    return httpx.post(f"{url}/decisions", json=parcel, headers=headers, timeout=60)


def test_duplicates_at_two_replicas_are_decided_once(url: str, parcel: dict[str, Any], quick: Quick):
    with ThreadPoolExecutor(10) as clients:
        answers = list(clients.map(lambda _: decide(url, parcel, "at-once"), range(10)))
    assert {answer.status_code for answer in answers} == {200}, answers[0].text
    assert len({answer.content for answer in answers}) == 1
    found = answers[0].json()
    assert found["zone"] == int(quick.classes[quick.labels(np.array([parcel["pixels"]]))[0]])
    assert (found["outcome"], found["price_cents"]) == ("accepted", 450 + 150 * found["zone"] + 2 * 90 + 80)
    assert found["history_known"]


def test_a_decision_outlives_the_ledgers_process(url: str, parcel: dict[str, Any]):
    first = decide(url, parcel, "kept")
    assert first.status_code == 200, first.text
    (ledger,) = [
        child
        for child in psutil.Process().children(recursive=True)
        if any("ServeReplica:business:ledger" in part for part in child.cmdline())
    ]
    os.kill(ledger.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while (again := decide(url, parcel, "kept")).status_code != 200:
        assert (again.status_code, again.json()["code"]) in ((503, "ledger_unavailable"), (504, "deadline")), again.text
        assert time.monotonic() < deadline
        time.sleep(0.3)
    assert again.content == first.content


def test_the_rate_is_that_of_all_replicas_together(url: str, parcel: dict[str, Any]):
    """The ledger that was killed in the test before has begun a new count."""
    answers = [decide(url, parcel, "kept") for _ in range(RATE + 5)]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert RATE - 10 <= sum(answer.status_code == 200 for answer in answers) <= RATE
    assert int(answers[-1].headers["retry-after"]) > 3000


def test_a_stranger_learns_nothing_and_the_carrier_says_what_it_does_not_serve(url: str, parcel: dict[str, Any]):
    stranger = httpx.post(f"{url}/decisions", json=parcel, headers={"X-API-Key": "none"}, timeout=60)
    assert (stranger.status_code, stranger.json()["code"]) == (401, "unauthorized")
    unserved = httpx.get(f"{url}/carrier/quote", params={"zone": 0, "weight_kg": 1}, timeout=60)
    assert (unserved.status_code, unserved.json()["code"]) == (404, "zone_not_served")
