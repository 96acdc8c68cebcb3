"""Every serving stack of the catalogue: brought up, asked, destroyed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sklearn.datasets import load_digits

from tests.catalogue.conftest import Service

# Models are loaded at the first request, all of them at once on what may be one core.
_PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def models(trained: Callable[[str], dict[str, Any]]) -> None:
    """The champions that the stacks join, beside that of `make up`."""
    trained("train-local-wide")
    trained("train-local-deep")


def digit() -> tuple[list[int], str]:
    digits: Any = load_digits()
    return [int(value) for value in digits.data[1700]], str(digits.target[1700])


def asked(url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer; 503 and 504 are for those who come before the models are there, and say to come again."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        answer = httpx.post(f"{url}{path}", json=body, timeout=_PATIENCE_S)
        if answer.status_code not in (503, 504) or time.monotonic() > deadline:
            answer.raise_for_status()
            return answer.json()
        time.sleep(1)


def test_an_ensemble_answers_and_shows_the_challenger_what_it_answered(models: None, service: Service) -> None:
    pixels, label = digit()
    with service("serve-local-ensemble") as url:
        answer = asked(url, "/predict", {"pixels": pixels})
        assert answer["predictions"][0]["label"] == label
        assert set(answer["members"]) | set(answer["missing"]) == {"base", "wide"}
        deadline = time.monotonic() + _PATIENCE_S
        while (shadow := httpx.get(f"{url}/shadow", timeout=10).json())["rows"] < 1:
            assert time.monotonic() < deadline, shadow
            time.sleep(0.5)


def test_one_request_is_answered_by_three_models(models: None, service: Service) -> None:
    pixels, label = digit()
    names = ["digits", "digits-wide", "digits-deep"]
    with service("serve-local-many") as url:
        tags = asked(url, "/tag", {"models": names, "pixels": pixels})["tags"]
        assert {name: tag["label"] for name, tag in tags.items()} == dict.fromkeys(names, label)
        unknown = httpx.post(f"{url}/tag", json={"models": ["digits-none"], "pixels": pixels}, timeout=10)
        assert unknown.status_code == 404


def test_a_bandit_learns_what_it_is_told(service: Service) -> None:
    context = {"context": [1, 0.2, -1.3, 0]}
    with service("serve-local-bandit") as url:
        before = asked(url, "/choose", context)
        told = asked(url, "/feedback", {"decision": before["decision"], "reward": 1})
        assert told["arm"] == before["arm"]
        deadline = time.monotonic() + _PATIENCE_S
        while asked(url, "/choose", context)["updates"] <= before["updates"]:
            assert time.monotonic() < deadline, "replicas renew their policy every second"
            time.sleep(0.5)
