"""The machines behind EC2's records: a running instance joins the cluster as a node, a terminated one leaves it.

KWOK plays the kubelet of such a node. EKS's system node group is played by the one real node.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.eks.models import eks_backends

from local.cluster import names
from local.sim.cloud import userdata
from local.sim.cloud.config import ACCOUNT
from local.sim.cloud.kubernetes import Kubernetes, KubernetesError

KWOK = "kwok.x-k8s.io/node"
_POLL_S = 0.5
_NODES = "/api/v1/nodes"
_GONE = ("shutting-down", "terminated")
# What AL2023 takes of an instance for itself (kubelet and system reservations, and the hypervisor's share).
_RESERVED_MEMORY, _RESERVED_MEMORY_MIB, _RESERVED_CPU_MILLI = 0.075, 355, 80
_EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}


class Machines:
    def __init__(self, kubernetes: Kubernetes, boot_seconds: float) -> None:
        self._kubernetes = kubernetes
        self._boot_seconds = boot_seconds
        self._joined: dict[str, str] = {}  # instance -> node
        self._left: set[str] = set()
        self._group: Any = None

    def run(self) -> None:
        """For ever, in a thread of its own."""
        while True:
            try:
                self.tick()
            except KubernetesError as error:
                print(f"machines: {error}", file=sys.stderr, flush=True)
            time.sleep(_POLL_S)

    def tick(self) -> None:
        for region, instance in instances():
            if instance.state in _GONE:
                self._leave(instance)
            elif instance.id not in self._joined and _age(instance) >= self._boot_seconds:
                self._join(region, instance)
        self._play_system_group()

    def _join(self, region: str, instance: Any) -> None:
        try:
            body = node(region, instance)
        except ValueError as error:  # such a machine starts and never joins, on AWS too
            print(
                f"machines: {instance.id} has user data that no node starts from: {error}", file=sys.stderr, flush=True
            )
            self._joined[instance.id] = ""
            return
        try:
            self._kubernetes.create(_NODES, body)
        except KubernetesError as error:
            if error.status != 409:  # it joined before this process did
                raise
        self._joined[instance.id] = body["metadata"]["name"]

    def _leave(self, instance: Any) -> None:
        if instance.id not in self._left:
            self._kubernetes.delete(f"{_NODES}/{self._joined.get(instance.id) or name_of(instance)}")
            self._left.add(instance.id)

    def _play_system_group(self) -> None:
        """The real node bears the labels and taints of the account's first node group."""
        wanted = _system_node()
        if wanted != self._group:
            self._kubernetes.apply(f"{_NODES}/{names.NODE_NAME}", wanted)
            self._group = wanted


def instances() -> Iterator[tuple[str, Any]]:
    """(region, instance) of the whole account, dead ones too."""
    for region, backend in list(ec2_backends[ACCOUNT].items()):
        for reservation in list(backend.reservations.values()):
            for instance in list(reservation.instances):
                yield region, instance


def name_of(instance: Any) -> str:
    """The host name that EC2 gives by address, by which EKS calls nodes."""
    region = instance.ec2_backend.region_name
    domain = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    return f"ip-{instance.nics[0].private_ip_address.replace('.', '-')}.{domain}"


def node(region: str, instance: Any) -> dict[str, Any]:
    """The node that the instance's kubelet would register."""
    joining = userdata.decode(instance.user_data)
    kind = INSTANCE_TYPES[instance.instance_type]
    labels = {
        **joining.labels,
        "kubernetes.io/hostname": name_of(instance),
        "kubernetes.io/arch": _architecture(kind),
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": instance.instance_type,
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": instance.availability_zone,
    }
    capacity = _capacity(instance, kind, joining.max_pods or 110)
    memory = int(capacity["memory"].removesuffix("Ki"))
    allocatable = {
        **capacity,
        "cpu": f"{int(capacity['cpu']) * 1000 - _RESERVED_CPU_MILLI}m",
        "memory": f"{memory - _RESERVED_MEMORY_MIB * 1024}Ki",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name_of(instance), "labels": labels, "annotations": {KWOK: "fake"}},
        "spec": {"providerID": f"aws:///{instance.availability_zone}/{instance.id}", "taints": joining.taints},
        "status": {
            "capacity": capacity,
            "allocatable": allocatable,
            "addresses": [
                {"type": "InternalIP", "address": instance.nics[0].private_ip_address},
                {"type": "Hostname", "address": name_of(instance)},
            ],
        },
    }


def _capacity(instance: Any, kind: dict[str, Any], pods: int) -> dict[str, str]:
    memory = int(kind["MemoryInfo"]["SizeInMiB"] * 1024 * (1 - _RESERVED_MEMORY))
    disk = max((device.size or 0 for _, device in instance.get_block_device_mapping), default=0) or 20
    found = {
        "cpu": str(kind["VCpuInfo"]["DefaultVCpus"]),
        "memory": f"{memory}Ki",
        "ephemeral-storage": f"{disk}Gi",
        "pods": str(pods),
    }
    gpus = sum(gpu["Count"] for gpu in kind.get("GpuInfo", {}).get("Gpus", []) if gpu["Manufacturer"] == "NVIDIA")
    if gpus:
        found["nvidia.com/gpu"] = str(gpus)  # what the device plugin says once it runs
    return found


def _architecture(kind: dict[str, Any]) -> str:
    return "arm64" if "arm64" in kind["ProcessorInfo"]["SupportedArchitectures"] else "amd64"


def _age(instance: Any) -> float:
    launched = instance.launch_time
    return (datetime.now(UTC) - launched.replace(tzinfo=launched.tzinfo or UTC)).total_seconds()


def _system_node() -> dict[str, Any]:
    labels: dict[str, str] = {}
    taints: list[dict[str, str]] = []
    groups = [
        (region, group)
        for region, backend in eks_backends[ACCOUNT].items()
        for cluster in backend.clusters.values()
        for group in cluster.nodegroups.values()
    ]
    if groups:
        region, group = groups[0]
        zone = ec2_backends[ACCOUNT][region].get_subnet(group.subnets[0]).availability_zone
        labels = {
            **(group.labels or {}),
            "eks.amazonaws.com/nodegroup": group.nodegroup_name,
            "eks.amazonaws.com/capacityType": group.capacity_type,
            "node.kubernetes.io/instance-type": (group.instance_types or ["m5.large"])[0],
            "topology.kubernetes.io/region": region,
            "topology.kubernetes.io/zone": zone,
        }
        taints = [
            {"key": taint["key"], "value": taint.get("value", ""), "effect": _EFFECTS[taint["effect"]]}
            for taint in group.taints or []
        ]
    spec = {"taints": taints} if taints else {}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": names.NODE_NAME, "labels": labels}, "spec": spec}
