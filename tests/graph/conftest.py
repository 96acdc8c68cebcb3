"""The engine with the stacks that others stand on recorded as if they were up."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.contract import OUTPUT, to_output
from tests.contract.manifests import CONTRACT, ON_AWS
from tests.graph.engine import Engine

RESULT = {"accuracy": 0.97, "registered": True, "version": "7", "model": "digits"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="write the golden lists instead of comparing with them")


@pytest.fixture(scope="session")
def engine(pulumi: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    engine = Engine(pulumi, tmp_path_factory.mktemp("engine"))
    for environment in ("local", "sim", "dev", "prod"):
        engine.init(f"platform-{environment}")
    for environment in ("dev", "prod"):
        engine.init(f"bootstrap-{environment}")
    for stack in ("serve-local", "train-local-fast"):
        engine.init(stack)
    engine.record("train-local", {"result": RESULT})
    return engine


@pytest.fixture(scope="session")
def standing(pulumi: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """As `engine`, with the platform up."""
    engine = Engine(pulumi, tmp_path_factory.mktemp("standing"))
    engine.record("platform-local", {OUTPUT: to_output(CONTRACT)})
    engine.record("platform-dev", {OUTPUT: to_output(ON_AWS)})
    for stack in ("train-local", "train-dev"):
        engine.record(stack, {"result": RESULT})
    for stack in ("serve-local", "train-local-fast", "serve-dev", "workbench-local", "workbench-dev"):
        engine.init(stack)
    return engine
