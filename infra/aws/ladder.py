"""The capacity ladder as data: reserved, then spot, then on-demand GPUs, and machines without GPUs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.settings.aws_capacity import CapacitySettings, PoolSettings

GPU = "nvidia.com/gpu"
NODES_LABEL = "manta/nodes"  # cpu or gpu
GPU_TAINT = {"key": GPU, "value": "true", "effect": "NoSchedule"}
CAPACITY_TYPE, FAMILY, SIZE = (
    "karpenter.sh/capacity-type",
    "karpenter.k8s.aws/instance-family",
    "karpenter.k8s.aws/instance-size",
)
ZONE, ARCH, SYSTEM = "topology.kubernetes.io/zone", "kubernetes.io/arch", "kubernetes.io/os"
# The notice of a spot interruption: what has not ended by then is ended.
SPOT_NOTICE = "120s"


@dataclass(frozen=True)
class Rung:
    """One NodePool. Of two that fit a pod, Karpenter tries the one of greater `weight` first."""

    name: str
    nodes: str
    capacity_type: str
    weight: int
    pool: PoolSettings
    limits: Mapping[str, str]
    idle_seconds: int
    node_class: str
    termination_grace: str | None = None


def rungs(settings: CapacitySettings) -> list[Rung]:
    """From the first choice to the last. Every rung has limits: a pool without any follows a mistake to its cost."""
    gpu, cpu = settings.gpu, settings.cpu
    limits = {GPU: str(gpu.limit)}

    def of_gpus(name: str, capacity_type: str, weight: int, grace: str, node_class: str = "gpu") -> Rung:
        return Rung(name, "gpu", capacity_type, weight, gpu, limits, gpu.idle_seconds, node_class, grace)

    found: list[Rung] = []
    if gpu.reservations:
        found.append(of_gpus("gpu-reserved", "reserved", 100, "600s", "gpu-reserved"))
    if gpu.spot:
        found.append(of_gpus("gpu-spot", "spot", 50, SPOT_NOTICE))
    if gpu.on_demand:
        found.append(of_gpus("gpu-on-demand", "on-demand", 10, "600s"))
    cpu_limits = {"cpu": str(cpu.cpu_limit), "memory": cpu.memory_limit}
    # No grace of its own: with one, a drifted node would be drained under a head that must not be disrupted.
    return [*found, Rung("cpu", "cpu", "on-demand", 1, cpu, cpu_limits, cpu.idle_seconds, "cpu")]


def requirements(rung: Rung, zones: list[str], settings: CapacitySettings) -> list[dict[str, Any]]:
    """What a machine of the rung must be."""
    pool = rung.pool
    families, sizes, places = pool.families, pool.sizes, pool.zones or zones
    if rung.capacity_type == "reserved":
        types = [reservation.instance_type for reservation in settings.gpu.reservations]
        families = sorted({name.partition(".")[0] for name in types})
        sizes = sorted({name.partition(".")[2] for name in types})
        places = sorted({reservation.zone for reservation in settings.gpu.reservations})
    wanted: dict[str, list[str]] = {
        CAPACITY_TYPE: [rung.capacity_type],
        FAMILY: families,
        SIZE: sizes,
        ZONE: places,
        # The image of the runs is for amd64.
        ARCH: ["amd64"],
        SYSTEM: ["linux"],
    }
    return [{"key": key, "operator": "In", "values": values} for key, values in wanted.items() if values]


def disruption(rung: Rung, max_surge: int) -> dict[str, Any]:
    """Only empty nodes are removed. A GPU node that drifted is replaced once its run has ended and it is empty; a cpu
    node may be drained for drift, except under a head, which says that it must not be disrupted."""
    busy = ["Underutilized", "Drifted"]
    drifted = {"nodes": "0", "reasons": busy} if rung.nodes == "gpu" else {"nodes": str(max_surge), "reasons": busy}
    return {
        "consolidationPolicy": "WhenEmpty",
        "consolidateAfter": f"{rung.idle_seconds}s",
        "budgets": [{"nodes": "100%", "reasons": ["Empty"]}, drifted],
    }


def node_pool(rung: Rung, zones: list[str], settings: CapacitySettings) -> dict[str, Any]:
    """A NodePool of the API karpenter.sh/v1."""
    # Expiry drains whatever runs. A GPU node lives as long as its runs and no longer, so it needs none.
    expiry = f"{rung.pool.expire_hours}h" if rung.pool.expire_hours else "Never"
    spec: dict[str, Any] = {
        "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": rung.node_class},
        "requirements": requirements(rung, zones, settings),
        "expireAfter": expiry,
    }
    if rung.nodes == "gpu":
        spec["taints"] = [GPU_TAINT]
    if rung.termination_grace:
        spec["terminationGracePeriod"] = rung.termination_grace
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": rung.name},
        "spec": {
            "weight": rung.weight,
            "limits": dict(rung.limits),
            "disruption": disruption(rung, settings.max_surge),
            "template": {"metadata": {"labels": {NODES_LABEL: rung.nodes}}, "spec": spec},
        },
    }
