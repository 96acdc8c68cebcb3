"""RUN and ARGS become a stack file; what cannot be one is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from local.errors import MantaError
from local.up.runs import parse_arguments, stack_name, write_stack_file


def test_values_are_typed() -> None:
    assert parse_arguments("lr=1e-3 epochs=5 name='a b' amp=true") == {
        "lr": 0.001,
        "epochs": 5,
        "name": "a b",
        "amp": True,
    }


@pytest.mark.parametrize("text", ["lr", "lr=", "=3", "LR=1", "lr=1 lr=2", "lr=[1]", "--lr=1", "lr={", "name='a"])
def test_what_is_not_a_parameter_is_refused(text: str) -> None:
    with pytest.raises(MantaError, match="ARGS"):
        parse_arguments(text)


@pytest.mark.parametrize("run", ["", "9lives", "Upper", "a_b", "x" * 31, "trailing-", "../up"])
def test_a_name_that_cannot_be_a_run_is_refused(tmp_path: Path, run: str) -> None:
    with pytest.raises(MantaError, match="RUN="):
        write_stack_file(tmp_path, "local", run, "")


def test_a_run_starts_from_the_standing_run_and_changes_only_what_is_given(tmp_path: Path) -> None:
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    (stacks / "Pulumi.train-local.yaml").write_text("config:\n  manta:parameters: {lr: 0.001, epochs: 20}\n")
    path = write_stack_file(tmp_path, "local", "fast", "lr=0.01")
    assert path.name == f"Pulumi.{stack_name('local', 'fast')}.yaml"
    assert yaml.safe_load(path.read_text()) == {"config": {"manta:parameters": {"lr": 0.01, "epochs": 20}}}


def test_a_run_called_again_without_arguments_keeps_its_file(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    path = write_stack_file(tmp_path, "local", "fast", "lr=0.01")
    path.write_text("# why this run is\n" + path.read_text())
    before = path.read_text()
    assert write_stack_file(tmp_path, "local", "fast", "").read_text() == before


def test_arguments_replace_those_of_an_earlier_call(tmp_path: Path) -> None:
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    (stacks / "Pulumi.train-local.yaml").write_text("config:\n  manta:parameters: {epochs: 20}\n")
    write_stack_file(tmp_path, "local", "fast", "lerning_rate=0.01")
    path = write_stack_file(tmp_path, "local", "fast", "lr=0.01")
    assert yaml.safe_load(path.read_text())["config"]["manta:parameters"] == {"epochs": 20, "lr": 0.01}
