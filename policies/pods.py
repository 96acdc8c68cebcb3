"""The pods that a resource makes, wherever it keeps their template."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from policies.facts import GPU
from policies.rule import Resource
from policies.values import Values, at, entries, number, section

RAY_CLUSTER, RAY_JOB, RAY_SERVICE = (f"kubernetes:ray.io/v1:{kind}" for kind in ("RayCluster", "RayJob", "RayService"))
RAY = (RAY_CLUSTER, RAY_JOB, RAY_SERVICE)
POD = "kubernetes:core/v1:Pod"
_TEMPLATES = {
    **{f"kubernetes:apps/v1:{kind}": ("spec", "template") for kind in ("Deployment", "StatefulSet", "DaemonSet")},
    "kubernetes:batch/v1:Job": ("spec", "template"),
    "kubernetes:batch/v1:CronJob": ("spec", "jobTemplate", "spec", "template"),
}
WORKLOADS = (POD, *_TEMPLATES, *RAY)
_CLUSTER_PATHS = {
    RAY_CLUSTER: ("spec",),
    RAY_JOB: ("spec", "rayClusterSpec"),
    RAY_SERVICE: ("spec", "rayClusterConfig"),
}


@dataclass(frozen=True)
class PodTemplate:
    """`where` names it to a person; `role` is head, worker or submitter of a Ray cluster, else empty."""

    where: str
    role: str
    metadata: Values
    spec: Values

    @property
    def containers(self) -> list[Values]:
        return [*entries(self.spec, "initContainers"), *entries(self.spec, "containers")]

    @property
    def main(self) -> Values:
        """The container that matters: in a Ray pod KubeRay takes the first for Ray's."""
        containers = entries(self.spec, "containers")
        return containers[0] if containers else {}


@dataclass(frozen=True)
class Group:
    """The head group or a worker group of a Ray cluster."""

    where: str
    role: str
    spec: Values
    pod: PodTemplate

    @property
    def start_parameters(self) -> Values:
        return section(self.spec, "rayStartParams")


def cluster_of(resource: Resource) -> Values:
    """The Ray cluster's spec that a Ray resource holds, empty if it holds none."""
    return section(resource.props, *_CLUSTER_PATHS[resource.type])


def groups(resource: Resource) -> Iterator[Group]:
    """Head group, then worker groups."""
    cluster = cluster_of(resource)
    if head := section(cluster, "headGroupSpec"):
        yield Group("head group", "head", head, _template("head group", "head", section(head, "template")))
    for index, group in enumerate(entries(cluster, "workerGroupSpecs")):
        where = f"worker group {at(group, 'groupName') or index}"
        yield Group(where, "worker", group, _template(where, "worker", section(group, "template")))


def pods(resource: Resource) -> Iterator[PodTemplate]:
    """Every pod template of a workload."""
    if resource.type in RAY:
        yield from (group.pod for group in groups(resource))
        if submitter := section(resource.props, "spec", "submitterPodTemplate"):
            yield _template("submitter", "submitter", submitter)
    elif resource.type == POD:
        yield _template("pod", "", resource.props)
    elif resource.type in _TEMPLATES:
        yield _template("pod template", "", section(resource.props, *_TEMPLATES[resource.type]))


def ray_pods(resource: Resource) -> Iterator[PodTemplate]:
    """The pods of head and workers."""
    return (group.pod for group in groups(resource))


def variable(container: Values, name: str) -> str | None:
    """The literal value of a variable; None if it is not set or comes from elsewhere."""
    for entry in entries(container, "env"):
        if at(entry, "name") == name:
            value = at(entry, "value")
            return None if value is None else str(value)
    return None


def _template(where: str, role: str, template: Values) -> PodTemplate:
    return PodTemplate(where, role, section(template, "metadata"), section(template, "spec"))


def gpus_of(group: Group) -> float:
    """GPUs of one pod."""
    return number(at(group.pod.main, "resources", "limits", GPU)) or 0


def pods_at_most(group: Group) -> float:
    """Pods of one group at its largest."""
    return number(at(group.spec, "maxReplicas")) or number(at(group.spec, "replicas")) or 1


def gpus_at_most(resource: Resource) -> float:
    """GPUs of a Ray cluster at its largest."""
    return sum(pods_at_most(group) * gpus_of(group) for group in groups(resource))
