"""The decision service's stack: its Secret made, brought up, asked, destroyed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from kubernetes import client

from payloads.serving.business import keys
from tests.catalogue.conftest import NAMESPACE, Service
from tests.catalogue.test_services import digit

# The model is loaded and the first request's connections are made.
_PATIENCE_S = 60.0


@pytest.fixture
def api_key(core: client.CoreV1Api) -> Iterator[str]:
    """A key whose hash is in the Secret from which the decision service's pods read it."""
    key, entry = keys.make("acme")
    core.create_namespaced_secret(
        NAMESPACE, client.V1Secret(metadata=client.V1ObjectMeta(name="business"), string_data={keys.VARIABLE: entry})
    )
    yield key
    core.delete_namespaced_secret("business", NAMESPACE)


def test_a_parcel_is_decided_once_however_often_it_is_sent(api_key: str, service: Service) -> None:
    pixels, label = digit()
    parcel = {"weight_kg": 2, "declared_value_cents": 10_000, "pixels": pixels}

    def decide(url: str, key: str) -> httpx.Response:
        headers = {"X-API-Key": api_key, "Idempotency-Key": key}
        return httpx.post(f"{url}/decisions", json=parcel, headers=headers, timeout=_PATIENCE_S)

    with service("serve-local-business") as url:
        stranger = httpx.post(f"{url}/decisions", json=parcel, headers={"X-API-Key": "none"}, timeout=10)
        assert (stranger.status_code, stranger.json()["code"]) == (401, "unauthorized")
        deadline = time.monotonic() + _PATIENCE_S
        while (first := decide(url, "first")).status_code in (503, 504):
            assert time.monotonic() < deadline, first.text
            time.sleep(1)
        found = first.json()
        assert (found["outcome"], found["zone"]) == ("accepted", int(label)), found
        assert found["price_cents"] == 450 + 150 * int(label) + 2 * 90 + 80, "the tariff's price and the insurance"
        assert decide(url, "first").content == first.content
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda _: decide(url, "second"), range(8)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert answers[0].json()["request_id"] != found["request_id"]
        statuses = [decide(url, "first").status_code for _ in range(140)]
        assert set(statuses) == {200, 429}, "the rate is that of both replicas together"
        assert 90 <= statuses.count(200) <= 120, statuses
