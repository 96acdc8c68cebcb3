"""A model server as one RayService."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.kubernetes.objects import register
from infra.plain import entries, section
from infra.ray import cluster
from infra.ray.job import API_VERSION
from infra.ray.serve_config import render
from infra.ray.specs import ClusterSpec

# Ray Serve behind HAProxy: about eleven times the throughput of Serve's own proxy, and only if head and workers agree.
HIGH_THROUGHPUT = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}


@dataclass(frozen=True)
class ServiceSpec:
    """One endpoint. Its name is stable: clients know it."""

    name: str
    cluster: ClusterSpec
    config: Mapping[str, Any]
    old_cluster_delay_seconds: int
    min_available: int


def service_manifest(spec: ServiceSpec) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "RayService",
        "metadata": {
            "name": spec.name,
            "namespace": spec.cluster.around.namespace,
            "labels": cluster.labels(spec.cluster.stack, spec.cluster.run),
            # KubeRay rewrites the spec in canonical form (1024Mi as 1Gi) when it adds its finalizer, and comes to own
            # what it rewrote. The spec is this stack's all the same.
            "annotations": {"pulumi.com/patchForce": "true"},
        },
        "spec": {
            "serveConfigV2": render(spec.config),
            # A changed pod template starts a second cluster, and traffic moves when that one answers.
            "upgradeStrategy": {"type": "NewCluster"},
            "rayClusterDeletionDelaySeconds": spec.old_cluster_delay_seconds,
            # The head goes away for longer than a worker; requests must not depend on it.
            "excludeHeadPodFromServeSvc": True,
            "rayClusterConfig": cluster.cluster_spec(spec.cluster),
        },
    }


def disruption_manifest(spec: ServiceSpec) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": f"{spec.name}-workers",
            "namespace": spec.cluster.around.namespace,
            "labels": cluster.labels(spec.cluster.stack, spec.cluster.run),
        },
        "spec": {
            "minAvailable": spec.min_available,
            "selector": {
                "matchLabels": {cluster.STACK_LABEL: spec.cluster.stack, cluster.ROLE_LABEL: "worker"},
            },
        },
    }


class Endpoint(pulumi.ComponentResource):
    """The code, the RayService that serves it, and the budget of disruptions it bears."""

    def __init__(
        self,
        name: str,
        service: dict[str, Any],
        disruption: dict[str, Any],
        code: Mapping[str, dict[str, Any]],
        opts: pulumi.ResourceOptions | None = None,
        demand: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        """`code` holds what must be there before the service, and `demand` what wants workers of it before requests do,
        both by Pulumi name and in order."""
        super().__init__("manta:ray:Endpoint", name, None, opts)
        before: list[pulumi.Resource] = []
        for title, manifest in code.items():
            before.append(register(title, manifest, pulumi.ResourceOptions(parent=self, depends_on=before[-1:])))
        # No `pulumi.com/waitFor: condition=Ready`: after an update Ready stays True on the old cluster, and the
        # official provider then waits for a transition that never comes. infra.ray.wait_service waits for the new one.
        self.service = register("service", service, pulumi.ResourceOptions(parent=self, depends_on=before))
        register("disruption", disruption, pulumi.ResourceOptions(parent=self))
        after: list[pulumi.Resource] = [self.service]
        for title, wanted in (demand or {}).items():
            after.append(register(title, wanted, pulumi.ResourceOptions(parent=self, depends_on=after[-1:])))
        self.register_outputs({"name": service["metadata"]["name"]})

    def publish(self, ingress: dict[str, Any]) -> pulumi.Output[str | None]:
        """The way in from outside, which goes before the service goes. Returns the load balancer's address, which the
        endpoint's name in DNS must lead to."""
        made: Any = register("ingress", ingress, pulumi.ResourceOptions(parent=self, depends_on=[self.service]))
        return made.status.apply(address)


def address(status: Any) -> str | None:
    """The host name in an Ingress's status, as the SDK spells it; None while there is none."""
    given = entries(section(status or {}, "load_balancer"), "ingress")
    return given[0].get("hostname") if given else None
