"""A platform of another version, or with a hole in it, is refused with the stack to bring up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.contract import VERSION, Contract, from_output, to_output
from infra.errors import ContractError
from infra.stack import StackName

STACK = StackName("train", "local", "fast")
REMEDY = "`pulumi up -s platform-local`"


def test_what_a_platform_writes_is_read_back(contract: Contract) -> None:
    assert from_output(json.loads(json.dumps(to_output(contract))), STACK) == contract


def test_numbers_of_the_engine_are_floats(contract: Contract) -> None:
    assert from_output({**to_output(contract), "version": float(VERSION)}, STACK) == contract


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": VERSION + 1}, f"version {VERSION + 1} of the contract and train-local-fast needs {VERSION}"),
        ({"version": None}, "version None"),
        ({"image": None}, "offers no image"),
        ({"mlflow_uri": 5}, "offers no mlflow_uri"),
    ],
)
def test_a_platform_that_does_not_fit_is_refused(contract: Contract, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ContractError) as caught:
        from_output({**to_output(contract), **change}, STACK)
    assert words in str(caught.value)
    assert REMEDY in str(caught.value)


def test_a_platform_without_outputs_is_refused() -> None:
    with pytest.raises(ContractError, match="offers nothing yet"):
        from_output(None, STACK)
