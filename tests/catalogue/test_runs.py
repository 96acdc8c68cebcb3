"""Every training stack of the catalogue: brought up, its result looked at, destroyed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Trained = Callable[[str], dict[str, Any]]


def test_features_account_for_every_row(trained: Trained) -> None:
    result = trained("train-local-features")
    assert result["rows"]["quarantine"] == sum(result["reasons"].values()) > 0
    assert sum(result["rows"].values()) + result["filtered"] == 500_000
    assert result["rows"]["train"] / (500_000 - result["filtered"] - result["rows"]["quarantine"]) == pytest.approx(
        0.8, abs=0.001
    )


def test_batch_inference_answers_every_row(trained: Trained) -> None:
    result = trained("train-local-batch")
    assert result["rows"] == sum(result["labels"].values()) == 400_000
    assert set(result["labels"]) == {str(digit) for digit in range(10)}


def test_ray_core_copies_nothing(trained: Trained) -> None:
    result = trained("train-local-core")
    assert result["copies"] == 0
    assert result["gradients"] >= 300


def test_a_search_stops_what_falls_behind_and_registers_its_best(trained: Trained) -> None:
    result = trained("train-local-tune")
    assert result["trials"] == 50
    assert result["failed"] == 0
    assert result["stopped_early"] > 25
    assert result["epochs"] < 0.7 * result["most_epochs"]
    assert result["model"] == "digits-tuned"
    assert result["accuracy"] >= 0.95


def test_lightning_registers_a_model_of_its_own(trained: Trained) -> None:
    result = trained("train-local-lightning")
    assert result["model"] == "digits-lightning"
    assert result["accuracy"] >= 0.95
    assert result["registered"] is True


@pytest.mark.parametrize("name", ["wide", "deep"])
def test_a_model_of_another_shape_gets_a_name_of_its_own(trained: Trained, name: str) -> None:
    result = trained(f"train-local-{name}")
    assert result["model"] == f"digits-{name}"
    assert result["accuracy"] >= 0.95
