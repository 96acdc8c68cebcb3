"""Fixtures of the payload tests: a real S3 server, a real MLflow server and one local Ray for all of them."""

from __future__ import annotations

import sys
from pathlib import Path

# Tests of this folder share tables and helpers that are no tests themselves.
sys.path.insert(0, str(Path(__file__).resolve().parent))

import pytest
from quick import Quick, train_quickly
from quick_vision import QuickVision, train_both


@pytest.fixture(scope="session")
def quick() -> Quick:
    return train_quickly()


@pytest.fixture(scope="session")
def quick_vision() -> QuickVision:
    return train_both()
