"""A Ray cluster that stands: one RayCluster, which people reach by port-forward and with the token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from infra.kubernetes.objects import register
from infra.ray import cluster
from infra.ray.job import API_VERSION
from infra.ray.specs import ClusterSpec

# Ray's autoscaler keeps these in the RayCluster: their first values are ours, what follows is its own.
COUNTED = ("replicas", "scaleStrategy")


@dataclass(frozen=True)
class WorkbenchSpec:
    """Its name is stable: people have it in their scripts."""

    name: str
    cluster: ClusterSpec


def workbench_manifest(spec: WorkbenchSpec) -> dict[str, Any]:
    around = spec.cluster.around
    return {
        "apiVersion": API_VERSION,
        "kind": "RayCluster",
        "metadata": {
            "name": spec.name,
            "namespace": around.namespace,
            "labels": cluster.labels(spec.cluster.stack, spec.cluster.run),
            "annotations": {
                # Done when its head answers: the operator has then made all that a workbench without workers has.
                "pulumi.com/waitFor": "condition=HeadPodReady",
                # The CRD makes one field of the whole list of worker groups: Ray's autoscaler, which counts them there,
                # comes to own it, and a change of ours would be refused.
                "pulumi.com/patchForce": "true",
            },
        },
        # A changed pod template must reach the pods: without a strategy KubeRay leaves a standing cluster as it is.
        "spec": {**cluster.cluster_spec(spec.cluster), "upgradeStrategy": {"type": "Recreate"}},
    }


class Workbench(pulumi.ComponentResource):
    """The cluster, and what wants workers of it before anyone asks (`demand`, by Pulumi name and in order)."""

    def __init__(
        self,
        name: str,
        manifest: dict[str, Any],
        demand: Mapping[str, dict[str, Any]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("manta:ray:Workbench", name, None, opts)
        groups = range(len(manifest["spec"]["workerGroupSpecs"]))
        self.cluster = CustomResource(
            "cluster",
            api_version=manifest["apiVersion"],
            kind=manifest["kind"],
            metadata=manifest["metadata"],
            spec=manifest["spec"],
            opts=pulumi.ResourceOptions(
                parent=self,
                # Otherwise an `up` that changes nothing would, after a refresh, take workers from whoever has them.
                ignore_changes=[f"spec.workerGroupSpecs[{group}].{count}" for group in groups for count in COUNTED],
            ),
        )
        before: list[pulumi.Resource] = [self.cluster]
        for title, wanted in demand.items():
            before.append(register(title, wanted, pulumi.ResourceOptions(parent=self, depends_on=before[-1:])))
        self.register_outputs({"name": manifest["metadata"]["name"]})
