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
    """Raise SettingsError if `scaling` is wanted of a platform without KEDA, or by a queue that KEDA may not read."""
    if scaling is None:
        return
    if not platform.event_scaling:
        raise SettingsError(
            f"stack {stack}: manta:scaling needs KEDA, which {stack.platform} has not: set manta:keda there and bring "
            f"it up with `pulumi up -s {stack.platform}`, or leave manta:scaling out"
        )
    if scaling.queue and scaling.queue.arn not in platform.event_queues.split(","):
        raise SettingsError(
            f"stack {stack}: manta:scaling.queue.url is of a queue that KEDA may not read: add {scaling.queue.arn} to "
            f"manta:keda.queues of {stack.platform} and bring it up with `pulumi up -s {stack.platform}`"
        )


def manifests(name: str, cluster: ClusterSpec, scaling: ScalingSettings | None) -> dict[str, dict[str, Any]]:
    """By Pulumi name and in order; none without `scaling`."""
    return demand_manifests(DemandSpec(name, cluster, scaling)) if scaling else {}
