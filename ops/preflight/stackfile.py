"""The few values of a stack file that the questions are about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from infra.errors import SettingsError
from infra.settings import ServeSettings, TrainSettings, WorkbenchSettings, load
from infra.stack import StackName
from local.errors import MantaError


@dataclass(frozen=True)
class Wanted:
    """What a stack asks for. Empty and 0 where it says nothing; `types` are instance types by purpose."""

    stack: str
    region: str
    account: str
    zones: tuple[str, ...]
    gpu_types: tuple[str, ...]
    gpu_limit: float
    spot: bool
    nat_gateways: int
    images: tuple[str, ...]

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
    )


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
