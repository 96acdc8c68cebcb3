"""A workbench."""

from __future__ import annotations

from typing import Any

from infra import contract
from infra.layers import scaling
from infra.layers.cluster import options
from infra.ray import naming, rules
from infra.ray.cluster import HEAD_PORTS
from infra.ray.specs import ClusterSpec
from infra.ray.workbench import Workbench, WorkbenchSpec, workbench_manifest
from infra.settings import WorkbenchSettings
from infra.stack import StackName


async def build(stack: StackName, settings: WorkbenchSettings) -> dict[str, Any]:
    """A standing RayCluster, checked before it is sent."""
    platform = await contract.read(stack)
    spec = workbench_spec(stack, settings, platform)
    manifest = workbench_manifest(spec)
    rules.check(manifest)
    scaling.require(platform, stack, settings.scaling)
    demand = scaling.manifests(spec.name, spec.cluster, settings.scaling)
    Workbench("workbench", manifest, demand, options(platform))
    namespace = spec.cluster.around.namespace
    ports = f"{HEAD_PORTS['dashboard']} {HEAD_PORTS['client']}"
    return {
        "workbench": spec.name,
        "namespace": namespace,
        # Nothing of it is reachable from outside the cluster, and nothing inside without the token.
        "forward": f"kubectl -n {namespace} port-forward svc/{spec.name}-head-svc {ports}",
    }


def workbench_spec(stack: StackName, settings: WorkbenchSettings, platform: contract.Contract) -> WorkbenchSpec:
    """Settings and contract joined. A stack of its own names its workbench; otherwise the stack file does."""
    name = naming.checked(stack.run or settings.name, naming.MAX_RAY_CLUSTER)
    return WorkbenchSpec(
        name=name,
        cluster=ClusterSpec(
            stack=str(stack),
            run=name,
            image=settings.image or platform.image,
            ray_version=platform.ray_version,
            head=settings.head,
            workers=settings.workers,
            preemption=settings.preemption,
            around=platform.surroundings(),
            bundle_config_map=None,
            bundle_hash=None,
            environment=settings.environment,
        ),
    )
