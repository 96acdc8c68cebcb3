"""Whether a run or an endpoint finds room: in the namespace's quota, under the NodePools' limits, on the nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.plain import entries, section
from infra.quantity import parse_quantity
from infra.settings import ServeSettings, TrainSettings, WorkbenchSettings
from infra.settings.ray import Resources
from local.errors import MantaError
from ops.cluster import RAY_NAMESPACE, Cluster, ForbiddenError
from ops.preflight.outcome import Outcome

GPU = "nvidia.com/gpu"
_UNITS = {"cpu": "CPUs", "memory": "GiB", GPU: "GPUs", "pods": "pods"}
_QUOTA_KEYS = {"cpu": "requests.cpu", "memory": "requests.memory", GPU: f"requests.{GPU}", "pods": "pods"}
Thing = Mapping[str, Any]
# Amounts by resource; a resource that is not named is not limited.
Amounts = dict[str, float]


@dataclass(frozen=True)
class Room:
    """`most` is what there may ever be, `free` what of it is free now; `where` says it to a person."""

    where: str
    most: Amounts
    free: Amounts


def needed(settings: TrainSettings | ServeSettings | WorkbenchSettings) -> Amounts:
    """What the Ray cluster asks for at its largest, by its pods' requests."""
    head, workers = settings.head, settings.workers
    amounts = {"cpu": _cpu(head) + workers.most * _cpu(workers), "pods": 1.0 + workers.most}
    amounts["memory"] = _memory(head) + workers.most * _memory(workers)
    if workers.gpus:
        amounts[GPU] = float(workers.most * workers.gpus)
    return amounts


def rooms(quotas: Iterable[Thing], pools: Iterable[Thing], nodes: Iterable[Thing], pods: Iterable[Thing]) -> list[Room]:
    """Of a cluster whose nodes are launched on demand the NodePools count, of any other the nodes."""
    found = [_quota(quota) for quota in quotas]
    listed = list(pools)
    machines = list(nodes)
    if listed:
        return [*found, _pools(listed)]
    return [*found, _nodes(machines, list(pods))] if machines else found


def judge(settings: TrainSettings | ServeSettings | WorkbenchSettings, room: Room) -> Iterator[Outcome]:
    """Whether it fits now, whether it can ever fit, and whether an endpoint can be updated beside itself."""
    wanted = needed(settings)
    never = _short(wanted, room.most)
    if never:
        yield Outcome(
            "capacity", "failed",
            f"wants {never}, more than {room.where} will ever have: its pods would wait for ever; ask for less, or "
            "raise it",
        )  # fmt: skip
        return
    if waits := _short(wanted, room.free):
        yield Outcome(
            "capacity", "warning", f"wants {waits} of {room.where}: it waits until others end (`ops runs list`)"
        )
    else:
        yield Outcome("capacity", "ok", f"there is room in {room.where}")
    if isinstance(settings, ServeSettings) and settings.rollout != "in_place":
        doubled = {name: 2 * amount for name, amount in wanted.items()}
        if narrow := _short(doubled, room.most):
            yield Outcome(
                "rolling update", "warning",
                f"needs as much again, {narrow} of {room.where}: the new cluster would wait and the old one go on "
                "answering; raise it, or set rollout to in_place",
            )  # fmt: skip
        else:
            yield Outcome("rolling update", "ok", f"old and new fit side by side in {room.where}")


def check(settings: TrainSettings | ServeSettings | WorkbenchSettings) -> Iterator[Outcome]:
    """Ask the cluster in KUBECONFIG."""
    try:
        cluster = Cluster()
        found = rooms(
            cluster.list("resourcequotas", RAY_NAMESPACE), _seen(lambda: cluster.list("nodepools")),
            _seen(lambda: cluster.list("nodes")), _seen(lambda: cluster.list("pods")),
        )  # fmt: skip
    except (MantaError, ForbiddenError) as error:
        reason = error.sentence if isinstance(error, MantaError) else "you may not read its quotas"
        yield Outcome("capacity", "unknown", reason)
        return
    for room in found:
        yield from judge(settings, room)


def _quota(quota: Thing) -> Room:
    hard, used = section(quota, "status", "hard"), section(quota, "status", "used")
    most = {name: _amount(hard[key]) for name, key in _QUOTA_KEYS.items() if key in hard}
    free = {name: most[name] - _amount(used.get(_QUOTA_KEYS[name], 0)) for name in most}
    return Room(f"the quota {quota['metadata']['name']}", most, free)


def _pools(pools: list[Thing]) -> Room:
    """GPUs alone. The rungs are tried one after the other, so that what one has no room for the next may take."""
    limits = [_amount(section(pool, "spec", "limits").get(GPU, 0)) for pool in pools]
    left = [
        limit - _amount(section(pool, "status", "resources").get(GPU, 0))
        for pool, limit in zip(pools, limits, strict=True)
    ]
    return Room("the NodePools' limits", {GPU: sum(limits)}, {GPU: sum(max(0.0, each) for each in left)})


def _nodes(nodes: list[Thing], pods: list[Thing]) -> Room:
    names = ("cpu", "memory", GPU)
    most = {name: sum(_amount(section(node, "status", "allocatable").get(name, 0)) for node in nodes) for name in names}
    requests: Amounts = dict.fromkeys(names, 0.0)
    for pod in pods:
        if section(pod, "status").get("phase") in ("Running", "Pending") and section(pod, "spec").get("nodeName"):
            for container in entries(section(pod, "spec"), "containers"):
                for name in names:
                    requests[name] += _amount(section(container, "resources", "requests").get(name, 0))
    return Room("the nodes", most, {name: most[name] - requests[name] for name in names})


def _short(wanted: Amounts, there: Amounts) -> str:
    """What is missing, as `9 GPUs (8 there)`; empty where nothing is."""
    return ", ".join(
        f"{_shown(name, amount)} {_UNITS[name]} ({_shown(name, max(0.0, there[name]))} there)"
        for name, amount in wanted.items()
        if name in there and amount > there[name] + 1e-6
    )


def _shown(name: str, amount: float) -> str:
    return f"{amount / 2**30 if name == 'memory' else amount:.3g}"


def _cpu(given: Resources) -> float:
    return parse_quantity(given.cpu_request) if given.cpu_request else float(given.cpus)


def _memory(given: Resources) -> float:
    return parse_quantity(given.memory_request or given.memory)


def _amount(value: Any) -> float:
    try:
        return parse_quantity(str(value))
    except ValueError:
        return 0.0


def _seen(ask: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What may not be read is not there: without nodes the quota alone is judged."""
    try:
        return ask()
    except ForbiddenError:
        return []
