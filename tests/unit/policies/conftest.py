"""One running pack for all tests, told of the stack that a test is about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.policies.analyzer import Analyzer


@pytest.fixture(scope="session")
def running() -> Iterator[Analyzer]:
    with Analyzer("serve-prod") as analyzer:
        yield analyzer


@pytest.fixture
def prod(running: Analyzer) -> Analyzer:
    running.configure("serve-prod")
    return running


@pytest.fixture
def local(running: Analyzer) -> Analyzer:
    running.configure("serve-local")
    return running
