"""A stack file that cannot be used is refused in one sentence naming the key, the stack and what would be right."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from infra.errors import SettingsError
from infra.settings import (
    BootstrapSettings,
    PlatformSettings,
    ServeSettings,
    TrainSettings,
    WorkbenchSettings,
    load,
)
from infra.stack import LAYERS, MAX_RUN, StackName
from tests.unit.infra.conftest import serve_values, train_values
from tests.unit.infra.paths import PROJECT


def config(values: dict[str, Any]) -> dict[str, str]:
    """Values as Pulumi hands them to a program."""
    return {
        f"manta:{key}": json.dumps(value)
        if isinstance(value, (dict, list))
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
        for key, value in values.items()
    }


def refusal(stack: str, values: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(StackName.parse(stack), config(values))
    return str(caught.value)


WORKERS = {"count": 2, "cpus": 2, "memory": "3Gi"}
BAD_TRAINING = [
    ({"worker": WORKERS, "workers": None}, "manta:worker is not a setting", "did you mean workers?"),
    ({"workers": {**WORKERS, "cpuReqest": "1"}}, "manta:workers.cpuReqest", "did you mean cpuRequest?"),
    ({"workers": {**WORKERS, "count": "many"}}, "manta:workers.count=many", "valid integer"),
    ({"workers": {**WORKERS, "count": True}}, "manta:workers.count=True", "not true or false"),
    ({"workers": {**WORKERS, "count": 0}}, "manta:workers.count=0", "greater than or equal to 1"),
    ({"workers": {**WORKERS, "min": 1}}, "manta:workers", "either count, or min and max"),
    ({"workers": {"cpus": 2, "memory": "3Gi"}}, "manta:workers", "how many"),
    ({"workers": {"min": 3, "max": 2}}, "manta:workers", "min 3 is more than max 2"),
    ({"workers": {**WORKERS, "memory": "3 gigs"}}, "manta:workers.memory=3 gigs", "500m or 2Gi"),
    ({"workers": {**WORKERS, "memoryRequest": "4Gi"}}, "manta:workers", "memoryRequest 4Gi is more than memory 3Gi"),
    ({"workers": {**WORKERS, "cpuRequest": 3}}, "manta:workers", "cpuRequest 3 is more than cpus 2"),
    ({"entrypoint": "payloads/training/train.py"}, "manta:entrypoint", "Python module"),
    ({"entrypoint": None}, "manta:entrypoint is missing", "stacks/Pulumi.train-local.yaml"),
    ({"image": "rayproject/ray:2.60.0"}, "manta:image", "by digest"),
    ({"run": "Digits"}, "manta:run=Digits", "lower-case"),
    ({"parameters": {"lr": [1]}}, "manta:parameters.lr", "one text, number or true/false"),
    ({"parameters": {"--lr": 1}}, "manta:parameters", "no flag"),
    ({"parameters": {"num_workers": 4}}, "manta:parameters", "comes from run, workers and trainer"),
    ({"deadlineSeconds": 0}, "manta:deadlineSeconds=0", "greater than or equal to 1"),
    ({"retries": -1}, "manta:retries=-1", "greater than or equal to 0"),
    ({"wait": "maybe"}, "manta:wait=maybe", "valid boolean"),
    ({"trainer": {"gpusPerWorker": 1}}, "gpusPerWorker 1 is more than workers.gpus 0", "no Ray worker"),
    ({"preemption": {"drainSeconds": 110, "graceSeconds": 110}}, "manta:preemption", "drainSeconds 110 must be less"),
]


@pytest.mark.parametrize(("change", "key", "remedy"), BAD_TRAINING)
def test_a_bad_training_setting_is_refused_with_its_key_and_what_is_right(
    change: dict[str, Any], key: str, remedy: str
) -> None:
    values = {name: value for name, value in {**train_values(), **change}.items() if value is not None}
    message = refusal("train-local", values)
    assert key in message
    assert remedy in message
    assert message.startswith("stack train-local: ")
    assert "\n" not in message


DEPLOYMENT = {"name": "Classifier"}


def application(**changes: Any) -> dict[str, Any]:
    return {"name": "a", "importPath": "payloads.x:app", "deployments": [DEPLOYMENT], **changes}


BAD_SERVING = [
    ({"applications": []}, "manta:applications", "at least 1"),
    ({"applications": [application(importPath="payloads.x")]}, "manta:applications.0.importPath", "module:attribute"),
    ({"applications": [application(), application(name="b")]}, "applications: two have the routePrefix /", ""),
    ({"applications": [application(deployments=[{**DEPLOYMENT, "maxOngoingRequest": 8}])]}, "maxOngoingRequest",
     "did you mean maxOngoingRequests?"),
    ({"applications": [application(deployments=[{**DEPLOYMENT, "replicas": 2, "autoscaling": {"maxReplicas": 2}}])]},
     "manta:applications.0.deployments.0", "either replicas or autoscaling"),
    ({"applications": [application(deployments=[{**DEPLOYMENT, "autoscaling": {"minReplicas": 3, "maxReplicas": 2}}])]},
     "autoscaling", "minReplicas 3 is more than maxReplicas 2"),
    ({"rollout": "canary"}, "manta:rollout=canary", "new_cluster"),
    ({"healthPath": "healthz"}, "manta:healthPath", "cannot be used"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "key", "remedy"), BAD_SERVING)
def test_a_bad_serving_setting_is_refused_with_its_key_and_what_is_right(
    change: dict[str, Any], key: str, remedy: str
) -> None:
    message = refusal("serve-local", serve_values(**change))
    assert key in message
    assert remedy in message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("trian-local", "'trian' is no layer (did you mean train?)"),
        ("train-locl", "'locl' is no environment (did you mean local?)"),
        ("train", "'' is no environment"),
        ("train-mars", "it is one of local"),
        ("platform-local-two", "platform-local"),
        ("train-local-Fast", "cannot name a run"),
        ("train-local-fast-", "cannot name a run"),
        ("train-local-" + "x" * (MAX_RUN + 1), "cannot name a run"),
    ],
)
def test_a_stack_name_that_says_nothing_known_is_refused(name: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"stack {name}: ") as caught:
        StackName.parse(name)
    assert words in str(caught.value)


def test_a_stack_name_is_layer_environment_and_run() -> None:
    assert StackName.parse("train-local") == StackName("train", "local")
    assert StackName.parse("serve-local-lr-3e4") == StackName("serve", "local", "lr-3e4")
    assert str(StackName("train", "local", "x")) == "train-local-x"
    assert StackName("train", "local", "x").platform == "platform-local"


@pytest.mark.parametrize("layer", LAYERS)
def test_every_stack_file_in_the_repository_is_accepted(layer: str) -> None:
    files = sorted((PROJECT / "stacks").glob(f"Pulumi.{layer}-*.yaml"))
    assert files, f"there is no stack file for {layer}"
    kinds = {
        "bootstrap": BootstrapSettings,
        "platform": PlatformSettings,
        "train": TrainSettings,
        "serve": ServeSettings,
        "workbench": WorkbenchSettings,
    }
    for path in files:
        values = yaml.safe_load(path.read_text())["config"]
        stack = StackName.parse(path.name.removeprefix("Pulumi.").removesuffix(".yaml"))
        given = {key.removeprefix("manta:"): value for key, value in values.items()}
        assert isinstance(load(stack, config(given)), kinds[layer])


def test_keys_of_providers_are_left_alone() -> None:
    values = {**config(train_values()), "aws:region": "eu-west-1"}
    assert isinstance(load(StackName("train", "local"), values), TrainSettings)


def test_scalars_arrive_as_text_and_become_what_they_mean() -> None:
    settings = load(StackName("train", "local"), config(train_values(wait=False, retries=3)))
    assert isinstance(settings, TrainSettings)
    assert (settings.wait, settings.retries) == (False, 3)
