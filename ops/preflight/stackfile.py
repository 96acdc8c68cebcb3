"""The few values of a stack file that the questions are about."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from infra.errors import SettingsError
from infra.settings import ServeSettings, TrainSettings, WorkbenchSettings, load
from infra.settings.aws import KarpenterSettings
from infra.settings.aws_capacity import AmiSettings
from infra.settings.aws_ingress import IngressSettings
from infra.settings.platform import KedaSettings
from infra.stack import StackName
from infra.versions import VERSIONS
from local.errors import MantaError

# As the program has it (infra/kubernetes/kuberay.py), whose import takes seconds; a test compares them.
_KUBERAY = "https://ray-project.github.io/kuberay-helm/"


@dataclass(frozen=True)
class Chart:
    """A Helm chart; `place` is the address of a registry or repository, or a folder, before which that in
    MANTA_CHARTS goes unless the place is `fixed`."""

    place: str
    name: str
    version: str
    fixed: bool = False


@dataclass(frozen=True)
class Wanted:
    """What a stack asks for. Empty and 0 where it says nothing; `driver` is the NVIDIA driver of its machines."""

    stack: str
    region: str
    account: str
    zones: tuple[str, ...]
    gpu_types: tuple[str, ...]
    gpu_limit: float
    spot: bool
    nat_gateways: int
    images: tuple[str, ...]
    driver: str
    charts: tuple[Chart, ...]

    @property
    def on_aws(self) -> bool:
        return bool(self.region)


def read(folder: Path, stack: str) -> Wanted:
    """The wishes of `stack`; raises MantaError if it has no file."""
    config = _map(_load(folder, stack).get("config"))
    aws = _map(config.get("manta:aws"))
    network, capacity = _map(aws.get("network")), _map(aws.get("capacity"))
    gpu = _map(capacity.get("gpu"))
    zones = tuple(map(str, _list(network.get("zones"))))
    gateways = {"per_zone": len(zones), "single": 1, "none": 0}.get(str(network.get("natGateways", "single")), 1)
    return Wanted(
        stack=stack,
        region=str(aws.get("region", "")),
        account=str(aws.get("account", "")),
        zones=zones,
        gpu_types=tuple(
            f"{family}.{size}" for family in _list(gpu.get("families")) for size in _list(gpu.get("sizes"))
        ),
        gpu_limit=float(gpu.get("limit") or 0),
        spot=gpu.get("spot") is not False,
        nat_gateways=gateways,
        images=tuple(str(image) for image in _map(config.get("manta:images")).values() if "@sha256:" in str(image)),
        driver=str(_map(capacity.get("ami")).get("driver") or AmiSettings.model_fields["driver"].default),
        charts=tuple(_charts(config)),
    )


def _charts(config: Mapping[str, Any]) -> Iterator[Chart]:
    aws = _map(config.get("manta:aws"))
    if aws:
        place = str(_map(aws.get("karpenter")).get("charts") or KarpenterSettings().charts)
        for name in ("karpenter-crd", "karpenter"):
            yield Chart(place, name, VERSIONS["karpenter"])
        if _map(config.get("manta:kuberay")).get("source", "chart") == "chart":
            yield Chart(_KUBERAY, "kuberay-operator", VERSIONS["kuberay"], fixed=True)
    if "ingress" in aws:
        place = str(_map(aws["ingress"]).get("charts") or IngressSettings.model_fields["charts"].default)
        # The chart counts as the controller does, with 1 for its 2.
        version = f"1.{VERSIONS['aws-load-balancer-controller'].partition('.')[2]}"
        yield Chart(place, "aws-load-balancer-controller", version)
    if "manta:keda" in config:
        place = str(_map(config["manta:keda"]).get("charts") or KedaSettings.model_fields["charts"].default)
        yield Chart(place, "keda", VERSIONS["keda"])


def settings(folder: Path, stack: str) -> TrainSettings | ServeSettings | WorkbenchSettings | None:
    """The settings of what has a Ray cluster, as its program reads them; None of a platform. Raises MantaError."""
    if not stack.startswith(("train-", "serve-", "workbench-")):
        return None
    config: dict[str, Any] = dict(_map(_load(folder, stack).get("config")))
    plain = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    try:
        found = load(StackName.parse(stack), plain)
    except SettingsError as error:
        raise MantaError(str(error)) from None
    return found if isinstance(found, (TrainSettings, ServeSettings, WorkbenchSettings)) else None


def _load(folder: Path, stack: str) -> Mapping[str, Any]:
    path = folder / f"Pulumi.{stack}.yaml"
    if not path.exists():
        raise MantaError(f"there is no {path}: give the name of a stack that has a file in {folder}/")
    try:
        return _map(yaml.safe_load(path.read_text()))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise MantaError(f"{path} is no YAML: mend it") from None


def _map(value: Any) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []
