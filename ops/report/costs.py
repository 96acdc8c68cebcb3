"""What a stack's resources cost while they exist, as far as their inputs say it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ops.prices.table import Table
from ops.report.preview import Resource

INSTANCE_TYPE = "node.kubernetes.io/instance-type"
GPU = "nvidia.com/gpu"
# Types that cost money in a way that inputs do not show: said, so that a sum is not taken for all there is.
_UNPRICED = {
    "aws:rds/instance:Instance": "instance hours and storage",
    "aws:rds/cluster:Cluster": "instance hours and storage",
    "aws:elasticache/cluster:Cluster": "instance hours",
    "aws:elasticache/replicationGroup:ReplicationGroup": "instance hours",
    "aws:lb/loadBalancer:LoadBalancer": "hours and traffic",
    "aws:efs/fileSystem:FileSystem": "storage",
}


@dataclass(frozen=True)
class Cost:
    """USD an hour, between `low` and `high` where the number of nodes is not fixed; `note` qualifies it."""

    component: str
    name: str
    low: float
    high: float
    note: str = ""


@dataclass(frozen=True)
class Capacity:
    """GPUs that a stack asks for, at least and at most."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Bill:
    """`unpriced` names what costs money and is in no sum, with the reason."""

    costs: list[Cost]
    unpriced: list[str]
    gpus: list[Capacity]

    @property
    def low(self) -> float:
        return sum(cost.low for cost in self.costs)

    @property
    def high(self) -> float:
        return sum(cost.high for cost in self.costs)

    def by_component(self) -> dict[str, tuple[float, float]]:
        sums: dict[str, tuple[float, float]] = {}
        for cost in self.costs:
            low, high = sums.get(cost.component, (0.0, 0.0))
            sums[cost.component] = (low + cost.low, high + cost.high)
        return sums


def bill(resources: Iterable[Resource], prices: Table) -> Bill:
    costs: list[Cost] = []
    unpriced: list[str] = []
    gpus: list[Capacity] = []
    for resource in resources:
        for found in _priced(resource, prices):
            match found:
                case Cost():
                    costs.append(found)
                case Capacity():
                    gpus.append(found)
                case str():
                    unpriced.append(found)
    return Bill(costs, unpriced, gpus)


def _priced(resource: Resource, prices: Table) -> Iterator[Cost | Capacity | str]:
    kind, inputs, name = resource.type, resource.inputs, resource.name
    if kind == "aws:eks/cluster:Cluster":
        yield _fixed("EKS control plane", name, prices.service("eks-cluster"))
    elif kind == "aws:ec2/natGateway:NatGateway":
        yield _fixed("NAT gateways", name, prices.service("nat-gateway"), "without traffic")
    elif kind == "aws:ec2/vpcEndpoint:VpcEndpoint" and inputs.get("vpcEndpointType") == "Interface":
        zones = len(_list(inputs.get("subnetIds"))) or 1
        yield _fixed("VPC endpoints", name, zones * prices.service("interface-endpoint"), "without traffic")
    elif kind == "aws:kms/key:Key":
        yield _fixed("KMS keys", name, prices.service("kms-key"), "without requests")
    elif kind == "aws:ebs/volume:Volume" and isinstance(size := inputs.get("size"), (int, float)):
        if inputs.get("type", "gp3") == "gp3":
            yield _fixed("Volumes", name, size * prices.service("gp3-gib"))
        else:
            yield f"{name}: no price for volumes of type {inputs.get('type')} in the table"
    elif kind == "aws:ec2/instance:Instance":
        yield from _instances("Instances", name, [str(inputs.get("instanceType"))], 1, 1, prices, spot=False)
    elif kind == "aws:eks/nodeGroup:NodeGroup":
        scaling = _map(inputs.get("scalingConfig"))
        types = [str(each) for each in _list(inputs.get("instanceTypes"))]
        spot = inputs.get("capacityType") == "SPOT"
        low, high = _number(scaling.get("minSize")), _number(scaling.get("maxSize"))
        yield from _instances("Node groups", name, types, low, high, prices, spot=spot)
    elif kind == "kubernetes:karpenter.sh/v1:NodePool":
        limit = _number(_map(_map(inputs.get("spec")).get("limits")).get(GPU))
        if limit:
            yield Capacity(f"NodePool {name}", 0, limit)
    elif kind in ("kubernetes:ray.io/v1:RayJob", "kubernetes:ray.io/v1:RayService", "kubernetes:ray.io/v1:RayCluster"):
        yield from _ray(resource, prices)
    elif kind in _UNPRICED:
        yield f"{name}: {_UNPRICED[kind]} are not in the price table"


def ray_cluster(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The Ray cluster's spec in a Ray resource's inputs."""
    spec = _map(inputs.get("spec"))
    return _map(spec.get("rayClusterSpec") or spec.get("rayClusterConfig") or spec)


def ray_groups(inputs: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], float, float]]:
    """Every group of a Ray resource: name, pod spec, fewest and most pods."""
    cluster = ray_cluster(inputs)
    if head := _map(cluster.get("headGroupSpec")):
        yield "head", _pod(head), 1, 1
    for group in _list(cluster.get("workerGroupSpecs")):
        spec = _map(group)
        replicas = _number(spec.get("replicas"))
        low, high = spec.get("minReplicas"), spec.get("maxReplicas")
        yield (
            str(spec.get("groupName", "workers")),
            _pod(spec),
            _number(low) if low is not None else replicas,
            _number(high) if high is not None else replicas,
        )


def limits(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    containers = _list(pod.get("containers"))
    return _map(_map(_map(containers[0] if containers else {}).get("resources")).get("limits"))


def _ray(resource: Resource, prices: Table) -> Iterator[Cost | Capacity | str]:
    for group, pod, low, high in ray_groups(resource.inputs):
        if gpus := _number(limits(pod).get(GPU)):
            yield Capacity(f"{resource.name}, {group}", gpus * low, gpus * high)
        selector = _map(pod.get("nodeSelector"))
        if chosen := selector.get(INSTANCE_TYPE):
            spot = selector.get("karpenter.sh/capacity-type") != "on-demand"
            title = f"{resource.name}, {group}"
            yield from _instances("Ray nodes", title, [str(chosen)], low, high, prices, spot=spot)
        elif gpus:
            yield f"{resource.name}, {group}: Karpenter chooses the nodes; the price depends on its choice"


def _instances(
    component: str, name: str, types: list[str], low: float, high: float, prices: Table, *, spot: bool
) -> Iterator[Cost | str]:
    found = [prices.types[each] for each in types if each in prices.types]
    missing = [each for each in types if each not in prices.types]
    if missing or not found:
        named = ", ".join(missing) or "unnamed"
        yield f"{name}: no price for instance type {named} in the table"
    if found:
        hourly = [prices.hourly_of(each, spot=spot) for each in found]
        kept = all(each.name in prices.spot for each in found)
        note = f"spot at the {prices.spot_about}" if kept else "at on-demand prices, spot costs less"
        yield Cost(component, name, low * min(hourly), high * max(hourly), note if spot else "")


def _fixed(component: str, name: str, hourly: float, note: str = "") -> Cost:
    return Cost(component, name, hourly, hourly, note)


def _pod(group: Mapping[str, Any]) -> Mapping[str, Any]:
    return _map(_map(group.get("template")).get("spec"))


def _map(value: Any) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if math.isfinite(number) else 0.0
