"""Stack files of AWS platforms: what they may say, and the one sentence for what they may not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from infra import settings
from infra.aws import instances
from infra.errors import SettingsError
from infra.settings import PlatformSettings
from infra.settings.aws import REGIONS
from infra.stack import StackName

STACKS = Path(__file__).resolve().parents[4] / "stacks"
PLATFORMS = ("platform-sim", "platform-dev", "platform-prod")


def config(stack: str) -> dict[str, Any]:
    return yaml.safe_load((STACKS / f"Pulumi.{stack}.yaml").read_text())["config"]


def load(stack: str, values: dict[str, Any]) -> PlatformSettings:
    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    found = settings.load(StackName.parse(stack), text)
    assert isinstance(found, PlatformSettings)
    return found


def changed(path: str, value: Any) -> dict[str, Any]:
    values = copy.deepcopy(config("platform-sim"))
    at = values["manta:aws"]
    *parents, last = path.split(".")
    for part in parents:
        at = at.setdefault(part, {})
    if value is None:
        del at[last]
    else:
        at[last] = value
    return values


@pytest.mark.parametrize("stack", PLATFORMS)
def test_the_stack_files_of_the_repository_are_accepted(stack: str) -> None:
    assert load(stack, config(stack)).aws is not None


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("region", "us-east-9", "us-east-9 is no region with EKS"),
        ("account", "12345", "manta:aws.account"),
        ("acount", "123456789012", "manta:aws.acount is not a setting (did you mean account?)"),
        ("network.cidr", "10.40.0.0/20", "cidr 10.40.0.0/20 is too small"),
        ("network.cidr", "10.0.0.0/8", "larger than a VPC can be"),
        ("network.cidr", "54.0.0.0/16", "is public"),
        ("network.cidr", "10.40.0.1/16", "is no IPv4 network"),
        ("network.podCidr", "10.40.64.0/18", "podCidr 10.40.64.0/18 overlaps cidr 10.40.0.0/16"),
        ("network.zones", ["us-east-1a"], "manta:aws.network.zones"),
        ("network.zones", ["us-east-1a", "us-east-1a"], "named twice"),
        ("network.zones", ["eu-west-1a", "eu-west-1b"], "eu-west-1a is no zone of us-east-1"),
        ("cluster.serviceCidr", "10.40.0.0/20", "serviceCidr 10.40.0.0/20 overlaps"),
        ("cluster.endpoint", {"publicFrom": ["0.0.0.0/0"]}, "opens the API server to 4294967296 addresses"),
        ("cluster.endpoint", {"publicFrom": ["anywhere"]}, "publicFrom anywhere is no network"),
        ("cluster.endpoint", {"publicFrom": ["::/0"]}, "opens the API server"),
        ("cluster.admins", [], "manta:aws.cluster.admins"),
        ("cluster.admins", ["arn:aws:sts::1:assumed-role/x/y"], "is no IAM role or user"),
        ("capacity.ami", {"alias": "al2023@latest"}, "manta:aws.capacity.ami.alias"),
        ("capacity.ami", {}, "say either alias or id"),
        ("capacity.gpu.families", ["m7i"], "m7i has no NVIDIA GPU"),
        ("capacity.gpu.families", ["g55"], "g55 is no instance family (did you mean g5"),
        ("capacity.gpu", {"families": ["g5g"], "limit": 1}, "g5g is an ARM machine"),
        ("capacity.gpu.sizes", ["7xlarge"], "comes in none of 7xlarge"),
        ("capacity.gpu.limit", 0, "manta:aws.capacity.gpu.limit=0"),
        ("capacity.gpu.limit", -1, "manta:aws.capacity.gpu.limit=-1"),
        ("capacity.cpu.cpuLimit", 0, "manta:aws.capacity.cpu.cpuLimit=0"),
        ("capacity.cpu.families", ["m99"], "m99 is no instance family"),
        ("capacity.gpu.zones", ["us-east-1f"], "capacity.gpu.zones: us-east-1f is none of network.zones"),
        ("capacity.cpu.capacityTypes", ["spot"], "manta:aws.capacity.cpu.capacityTypes"),
        (
            "capacity.gpu.reservations",
            [{"id": "cr-0123456789abcdef0", "zone": "us-east-1f", "instanceType": "p5.48xlarge"}],
            "cr-0123456789abcdef0 is in us-east-1f, where no node can be launched",
        ),
        (
            "capacity.gpu.reservations",
            [{"id": "cr-0123456789abcdef0", "zone": "us-east-1a", "instanceType": "m7i.large"}],
            "m7i.large has no NVIDIA GPU",
        ),
        ("storage", {"prefix": "Upper"}, "manta:aws.storage.prefix"),
        ("storage", {"prefix": "a" * 60}, "manta:aws.storage.prefix"),
        ("owner", "o" * 300, "manta:aws.owner"),
        ("budget", {"monthlyUsd": 1, "emails": ["nobody"]}, "manta:aws.budget.emails"),
    ],
)
def test_what_cannot_be_is_one_sentence_that_names_the_setting(path: str, value: Any, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load("platform-sim", changed(path, value))
    sentence = str(caught.value)
    assert words in sentence
    assert sentence.startswith("stack platform-sim: manta:aws") or "manta:aws" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("manta:protect", False, "protect"),
        ("manta:mlflow", {"authentication": False}, "mlflow.authentication"),
        ("manta:aws.cluster.deletionProtection", False, "cluster.deletionProtection"),
        ("manta:aws.database.multiAz", False, "database.multiAz"),
        ("manta:aws.database.deletionProtection", False, "database.deletionProtection"),
        ("manta:aws.database.backupDays", 0, "database.backupDays"),
        ("manta:aws.storage.keepOnDestroy", False, "storage.keepOnDestroy"),
        ("manta:aws.budget", None, "budget"),
    ],
)
def test_weakened_prod_settings_are_refused(key: str, value: Any, words: str) -> None:
    values = copy.deepcopy(config("platform-prod"))
    head, *rest = key.split(".")
    if not rest:
        values[head] = value
    else:
        at = values[head]
        for part in rest[:-1]:
            at = at.setdefault(part, {})
        at[rest[-1]] = value
    with pytest.raises(SettingsError, match="platform-prod") as caught:
        load("platform-prod", values)
    assert words in str(caught.value)


@pytest.mark.parametrize("stack", ["platform-dev-blue", "platform-dev-2"])
def test_an_environment_has_one_platform(stack: str) -> None:
    """All that it makes is named after the environment, so two of one name would fight over every name."""
    with pytest.raises(SettingsError, match=r"an environment has one platform, so its stack is called platform-dev$"):
        StackName.parse(stack)


def test_a_platform_says_either_where_it_stands_or_that_it_is_made() -> None:
    with pytest.raises(SettingsError, match="manta:node is for clusters that are there already"):
        load("platform-sim", {**config("platform-sim"), "manta:node": "manta"})
    with pytest.raises(SettingsError, match="manta:node is missing"):
        load("platform-local", {})


def test_dev_and_prod_are_different_places() -> None:
    dev, prod = (load(stack, config(stack)).aws for stack in ("platform-dev", "platform-prod"))
    assert dev is not None
    assert prod is not None
    assert dev.account != prod.account
    assert dev.network.cidr != prod.network.cidr


def test_the_regions_are_those_of_the_installed_sdk() -> None:
    assert sorted(REGIONS) == sorted(boto3.session.Session().get_available_regions("eks"))


def test_the_table_of_machines_is_that_of_the_installed_simulation() -> None:
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    for family in instances.gpu_families():
        for size in instances.sizes(family):
            found = INSTANCE_TYPES[f"{family}.{size}"].get("GpuInfo", {}).get("Gpus", [])
            count = sum(gpu["Count"] for gpu in found if gpu["Manufacturer"] == "NVIDIA")
            assert instances.gpus(f"{family}.{size}") == count, f"{family}.{size}"


def test_sizes_are_in_order_and_gpus_are_whole() -> None:
    assert instances.sizes("g5")[:3] == ["xlarge", "2xlarge", "4xlarge"]
    assert instances.gpus("g5.12xlarge") == 4
    assert instances.gpus("m7i.large") == 0
    assert not instances.has_gpus("g6f"), "a fraction of a GPU holds no run"
