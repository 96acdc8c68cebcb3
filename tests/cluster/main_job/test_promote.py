"""`ops promote` from this machine, which reaches MLflow and nothing that lies behind it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import mlflow
import pytest

from local.environment import CHECKOUT
from local.settings import LocalSettings


@pytest.fixture
def registry(main_job: Any, local_settings: LocalSettings) -> mlflow.MlflowClient:
    server = f"http://127.0.0.1:{local_settings.ports.mlflow}"
    return mlflow.MlflowClient(server, server)


@pytest.fixture
def twin(registry: mlflow.MlflowClient) -> Iterator[str]:
    """The champion once more, under the next number."""
    champion = registry.get_model_version_by_alias("digits", "champion")
    made = registry.create_model_version(
        "digits", champion.source, run_id=champion.run_id, model_id=champion.source.removeprefix("models:/")
    )
    yield str(made.version)
    registry.delete_model_version("digits", made.version)


def test_a_version_that_is_no_better_is_compared_on_every_row_and_not_promoted(
    registry: mlflow.MlflowClient, twin: str
) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ops", "promote", "serve-local", "--version", twin], cwd=CHECKOUT, capture_output=True,
        text=True, check=False, timeout=300,
    )  # fmt: skip
    assert result.returncode == 1, result.stdout + result.stderr
    assert "only the challenger right: 0, only the champion: 0, p = 1" in result.stdout
    assert f"digits version {twin} is not promoted, --allow-equal promotes it all the same" in result.stdout
    assert registry.get_model_version_by_alias("digits", "champion").version != twin
