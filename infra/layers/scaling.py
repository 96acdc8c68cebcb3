"""Event-driven scaling of a stack that wants it, on a platform that has it."""

from __future__ import annotations

from typing import Any

from infra.contract import Contract
from infra.errors import SettingsError
from infra.ray.demand import DemandSpec, demand_manifests
from infra.ray.specs import ClusterSpec
from infra.settings.scaling import ScalingSettings
from infra.stack import StackName


def require(platform: Contract, stack: StackName, scaling: ScalingSettings | None) -> None:
    """Raise SettingsError if `scaling` is wanted of a platform without KEDA."""
    if scaling is not None and not platform.event_scaling:
        raise SettingsError(
            f"stack {stack}: manta:scaling needs KEDA, which {stack.platform} has not: set manta:keda there and bring "
            f"it up with `pulumi up -s {stack.platform}`, or leave manta:scaling out"
        )


def manifests(name: str, cluster: ClusterSpec, scaling: ScalingSettings | None) -> dict[str, dict[str, Any]]:
    """By Pulumi name and in order; none without `scaling`."""
    return demand_manifests(DemandSpec(name, cluster, scaling)) if scaling else {}
