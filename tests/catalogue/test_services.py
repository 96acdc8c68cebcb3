"""Every serving stack of the catalogue: brought up, asked, destroyed."""

from __future__ import annotations

import collections
import io
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from payloads.vision import scenes
from payloads.vision.scenes import CLASSES
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


def asked(url: str, path: str, body: dict[str, Any] | None = None, **request: Any) -> dict[str, Any]:
    """The answer; 503 and 504 are for those who come before the models are there, and say to come again."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        answer = httpx.post(f"{url}{path}", json=body, timeout=_PATIENCE_S, **request)
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


def test_a_scene_is_described(trained: Callable[[str], dict[str, Any]], service: Service) -> None:
    result = trained("train-local-pipeline")
    assert result["detector"]["f1"] >= 0.95
    assert result["reader"]["accuracy"] >= 0.95
    handwriting = scenes.glyphs("test", split_seed=42)
    sheets = [scenes.compose(handwriting, (42, 9, number)) for number in range(20)]
    digits = found = 0
    with service("serve-local-pipeline") as url:
        for scene in sheets:
            answer = told(url, "/describe", scene.image)
            digits += len(scene.labels)
            wanted = collections.Counter(CLASSES[label] for label in scene.labels)
            found += (wanted & collections.Counter(digit["label"] for digit in answer["digits"])).total()
        assert found >= 0.85 * digits
        broken = httpx.post(f"{url}/describe", content=b"\x89PNG\r\n\x1a\n", headers={"content-type": "image/png"})
        assert broken.status_code == 400


def told(url: str, path: str, image: np.ndarray) -> dict[str, Any]:
    """The answer to an image as PNG; waits as `asked` does."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return asked(url, path, content=stream.getvalue(), headers={"content-type": "image/png"})


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


def test_users_get_recommendations_of_their_own(trained: Callable[[str], dict[str, Any]], service: Service) -> None:
    version = trained("train-local-recommend")["version"]
    with service("serve-local-recommend") as url:
        first, other, unknown = (asked(url, "/recommend", {"user": name}) for name in ("u1", "u2", "nobody"))
        assert first["model_version"] == version
        assert len(first["items"]) == 10
        assert first["items"] != other["items"]
        assert (first["source"], unknown["source"]) == ("personal", "popular")


def test_a_note_is_summed_up_whole_and_in_pieces(trained: Callable[[str], dict[str, Any]], service: Service) -> None:
    text = "The weather in Cork was mild on Friday . Helix said on Monday that its profit fell by 7 percent in Lyon ."
    summary = "profit of Helix fell by 7 percent"
    trained("train-local-text")
    with service("serve-local-text") as url:
        assert asked(url, "/summarise", {"text": text})["summary"] == summary
        with httpx.stream("POST", f"{url}/summarise/stream", json={"text": text}, timeout=_PATIENCE_S) as answer:
            lines = list(answer.iter_lines())
        assert lines.count("event: piece") > 3
        assert lines[-3] == "event: end"
        assert json.loads(lines[-2].removeprefix("data: "))["summary"] == summary
