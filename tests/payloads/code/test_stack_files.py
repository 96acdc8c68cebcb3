"""What a stack file gives to a payload, the payload takes: a misspelt parameter shows here and not in a pod."""

from __future__ import annotations

import importlib
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.ray import capacity
from infra.ray.job import entrypoint
from infra.settings import ServeSettings, Settings, TrainSettings, load
from infra.stack import StackName
from payloads.common.cli import parse
from payloads.common.settings import RunSettings

PROJECT = Path(__file__).resolve().parents[3]


def stacks(layer: str) -> list[str]:
    return sorted(path.name.split(".")[1] for path in (PROJECT / "stacks").glob(f"Pulumi.{layer}-local*.yaml"))


def settings(stack: str) -> Settings:
    document = yaml.safe_load((PROJECT / "stacks" / f"Pulumi.{stack}.yaml").read_text())["config"]
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in document.items()}
    return load(StackName.parse(stack), texts)


def test_no_local_stack_file_that_is_kept_is_bound_to_one_machines_passphrase():
    """Each machine has a passphrase of its own; `pulumi up` by hand leaves its salt in the file, and elsewhere no stack
    could then be made from it."""
    found = subprocess.run(
        ["git", "grep", "--cached", "-l", "encryptionsalt", "--", "stacks/*-local*"], cwd=PROJECT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (found.stdout, found.returncode) == ("", 1), found.stderr


@pytest.mark.parametrize("stack", stacks("train"))
def test_the_parameters_of_a_training_stack_are_flags_of_its_payload(stack: str):
    found = settings(stack)
    assert isinstance(found, TrainSettings)
    capacity.check_training(found, stack)
    flags = {
        "run_name": "a-run",
        "num_workers": found.training_workers,
        "cpus_per_worker": found.trainer.cpus_per_worker,
        "gpus_per_worker": found.trainer.gpus_per_worker,
        **found.parameters,
    }
    parsed = parse(settings_of(found.entrypoint), "", shlex.split(entrypoint(found.entrypoint, flags))[3:])
    assert parsed.run_name == "a-run"
    for name, value in found.parameters.items():
        assert getattr(parsed, name) == value


@pytest.mark.parametrize("stack", stacks("serve"))
def test_a_serving_stack_builds_its_application_and_names_all_of_its_deployments(stack: str):
    """Ray refuses a name that the application lacks only in the cluster, and runs one that is not listed unsized."""
    found = settings(stack)
    assert isinstance(found, ServeSettings)
    capacity.check_serving(found, stack)
    for application in found.applications:
        module, _, builder = application.import_path.partition(":")
        built = getattr(importlib.import_module(module), builder)(application.args)
        assert deployments(built) == {deployment.name for deployment in application.deployments}


@pytest.mark.parametrize("stack", stacks("serve"))
def test_an_endpoint_that_is_full_says_when_to_come_back(stack: str):
    """The rest of the queue's answer is Ray's own; test_serving.py asks for it."""
    found = settings(stack)
    assert isinstance(found, ServeSettings)
    for application in found.applications:
        module, _, builder = application.import_path.partition(":")
        ingress = getattr(importlib.import_module(module), builder)(application.args)._bound_deployment
        (sized,) = [each for each in application.deployments if each.name == ingress.name]
        assert sized.max_queued_requests >= 0, "an endless queue is answered by nobody's deadline but the client's"
        full = ingress._deployment_config.backpressure_config
        assert full.status_code in (429, 503)
        assert full.retry_after_s >= 1


def deployments(application: Any) -> set[str]:
    """Names of an application's deployments, those that it is bound to included."""
    bound = application._bound_deployment
    names = {bound.name}
    for argument in bound.init_args:
        inner = argument.values() if isinstance(argument, dict) else [argument]
        names |= {name for each in inner if hasattr(each, "_bound_deployment") for name in deployments(each)}
    return names


def settings_of(module: str) -> type[RunSettings]:
    """The settings class that a payload's entry module parses its command line into."""
    (found,) = {
        value
        for value in vars(importlib.import_module(module)).values()
        if isinstance(value, type) and issubclass(value, RunSettings) and value is not RunSettings
    }
    return found
