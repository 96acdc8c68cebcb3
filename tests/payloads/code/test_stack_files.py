"""What a stack file gives to a payload, the payload takes: a misspelt parameter shows here and not in a pod."""

from __future__ import annotations

import importlib
import json
import shlex
from pathlib import Path

import pytest
import yaml

from infra.ray import capacity
from infra.ray.job import entrypoint
from infra.settings import TrainSettings, load
from infra.stack import StackName
from payloads.common.cli import parse
from payloads.common.settings import RunSettings

PROJECT = Path(__file__).resolve().parents[3]
TRAIN = sorted(path.name.split(".")[1] for path in (PROJECT / "stacks").glob("Pulumi.train-*.yaml"))


@pytest.mark.parametrize("stack", TRAIN)
def test_the_parameters_of_a_training_stack_are_flags_of_its_payload(stack: str):
    document = yaml.safe_load((PROJECT / "stacks" / f"Pulumi.{stack}.yaml").read_text())["config"]
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in document.items()}
    settings = load(StackName.parse(stack), texts)
    assert isinstance(settings, TrainSettings)
    capacity.check_training(settings, stack)
    flags = {
        "run_name": "a-run",
        "num_workers": settings.training_workers,
        "cpus_per_worker": settings.trainer.cpus_per_worker,
        "gpus_per_worker": settings.trainer.gpus_per_worker,
        **settings.parameters,
    }
    arguments = shlex.split(entrypoint(settings.entrypoint, flags))[3:]
    parsed = parse(settings_of(settings.entrypoint), "", arguments)
    assert parsed.run_name == "a-run"
    for name, value in settings.parameters.items():
        assert getattr(parsed, name) == value


def settings_of(module: str) -> type[RunSettings]:
    """The settings class that a payload's entry module parses its command line into."""
    (found,) = {
        value
        for value in vars(importlib.import_module(module)).values()
        if isinstance(value, type) and issubclass(value, RunSettings) and value is not RunSettings
    }
    return found
