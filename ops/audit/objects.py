"""Look through a cluster for what would keep machines running, cost money, or stand in the way of the next `up`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config, dynamic
from kubernetes.dynamic.exceptions import ResourceNotFoundError

from ops.audit.account import Leftover, Unseen


@dataclass(frozen=True)
class Kind:
    """`ours`: label selector of what counts; empty: all."""

    version: str
    kind: str
    ours: str = ""


KINDS = (
    Kind("karpenter.sh/v1", "NodePool"),
    Kind("karpenter.sh/v1", "NodeClaim"),
    Kind("karpenter.k8s.aws/v1", "EC2NodeClass"),
    Kind("ray.io/v1", "RayCluster"),
    Kind("ray.io/v1", "RayJob"),
    Kind("ray.io/v1", "RayService"),
    Kind("v1", "Node", "karpenter.sh/nodepool"),
    Kind("v1", "Namespace", "app.kubernetes.io/managed-by=manta"),
    Kind("v1", "PersistentVolume"),
    Kind("v1", "Secret", "owner=helm"),
    Kind("apps/v1", "Deployment", "app.kubernetes.io/managed-by"),
    Kind("apps/v1", "DaemonSet", "app.kubernetes.io/managed-by"),
    Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
)


def look(kubeconfig: Path) -> tuple[list[Leftover], list[Unseen]]:
    """Objects of ours in the cluster of `kubeconfig`, if it answers."""
    try:
        api: Any = config.new_client_from_config(str(kubeconfig))
        cluster = dynamic.DynamicClient(api)
    except Exception as error:  # the client raises what its transport does
        return [], [Unseen("kubernetes", "cluster", f"{kubeconfig}: {str(error).splitlines()[0]}")]
    found: list[Leftover] = []
    unseen: list[Unseen] = []
    for kind in KINDS:
        try:
            found += _of_kind(cluster, kind)
        except client.ApiException as error:
            if error.status == 404:  # a definition that the client still remembers from an earlier look
                continue
            unseen.append(Unseen("kubernetes", kind.kind, f"{error.status} {error.reason}"))
    return found, unseen


def _of_kind(cluster: Any, kind: Kind) -> list[Leftover]:
    try:
        resource = cluster.resources.get(api_version=kind.version, kind=kind.kind)
    except ResourceNotFoundError:
        return []  # its definition is gone, and with it every object
    selector = {"label_selector": kind.ours} if kind.ours else {}
    found: list[Leftover] = []
    for item in resource.get(**selector).items:
        name, namespace = str(item.metadata.name), item.metadata.namespace
        where = f"{namespace}/{name}" if namespace else name
        found.append(Leftover("kubernetes", kind.kind, where, name, "in the cluster"))
    return found
