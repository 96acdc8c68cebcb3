"""What makes the loss of a spot instance harmless, and what makes it fatal."""

from __future__ import annotations

from collections.abc import Iterator

from policies.facts import CAPACITY_TYPE, GPU, SPOT_NOTICE_S
from policies.pods import RAY, RAY_JOB, RAY_SERVICE, Group, PodTemplate, groups
from policies.rule import LOCAL, About, Finding, Resource, Stack
from policies.values import Values, at, each, entries, items, number, section

NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"
_DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"
_DISRUPTED = "karpenter.sh/disrupted"


@About(
    "spot-head-on-demand", "spot", "high",
    "A head that goes away takes its run or its endpoint with it.",
    f"select {CAPACITY_TYPE}: on-demand for the head",
).resources(*RAY)  # fmt: skip
def head_on_demand(resource: Resource) -> Iterator[str]:
    if resource.environment == LOCAL:
        return
    for group in groups(resource):
        if group.role == "head" and not on_demand(group.pod):
            yield "the head may be placed on a spot instance"


@About(
    "spot-workers-tolerate-gpus", "spot", "high",
    "GPU nodes are tainted, so a worker that does not tolerate it waits for ever.",
    f"tolerate {GPU} on every worker group that asks for GPUs",
).resources(*RAY)  # fmt: skip
def workers_tolerate(resource: Resource) -> Iterator[str]:
    if resource.environment == LOCAL:
        return
    for group in groups(resource):
        wants = number(at(group.pod.main, "resources", "limits", GPU)) or 0
        if wants and not any(_tolerates(toleration, GPU) for toleration in entries(group.pod.spec, "tolerations")):
            yield f"{group.where} asks for GPUs and does not tolerate the taint {GPU}"


@About(
    "spot-evictable", "spot", "high",
    "Karpenter does not evict such a pod when the notice comes: it gets no SIGTERM and dies with the instance.",
    f"leave out {_DO_NOT_DISRUPT} and tolerations of everything or of {_DISRUPTED} on what may run on spot",
).resources(*RAY)  # fmt: skip
def evictable(resource: Resource) -> Iterator[str]:
    def group(found: Group) -> Iterator[str]:
        if on_demand(found.pod):
            return
        if at(found.pod.metadata, "annotations", _DO_NOT_DISRUPT) is not None:
            yield f"{found.where} carries {_DO_NOT_DISRUPT} and may run on spot"
        for toleration in entries(found.pod.spec, "tolerations"):
            if not at(toleration, "key") or at(toleration, "key") == _DISRUPTED:
                yield f"{found.where} tolerates {at(toleration, 'key') or 'every taint'}, and so the drain itself"

    yield from each(groups(resource), group)


@About(
    "spot-retries", "spot", "high",
    "A run on spot that is not tried again ends with its first lost instance.",
    "set backoffLimit to at least 1, or select on-demand nodes for its workers",
).resources(RAY_JOB)  # fmt: skip
def retries(resource: Resource) -> Iterator[str]:
    if all(on_demand(group.pod) for group in groups(resource)):
        return
    if (number(at(resource.props, "spec", "backoffLimit")) or 0) < 1:
        yield "backoffLimit is 0 and workers may run on spot"


@About(
    "spot-grace", "spot", "high",
    "What has not ended when the notice is over is ended with the instance, in the middle of a checkpoint.",
    f"set terminationGracePeriodSeconds below {SPOT_NOTICE_S}",
).resources(RAY_JOB, RAY_SERVICE)  # fmt: skip
def grace(resource: Resource) -> Iterator[str]:
    for group in groups(resource):
        seconds = number(at(group.pod.spec, "terminationGracePeriodSeconds"))
        if seconds is not None and seconds >= SPOT_NOTICE_S and not on_demand(group.pod):
            yield f"{group.where}: grace of {seconds:g} s does not end within the notice of {SPOT_NOTICE_S} s"


@About(
    "spot-fallback", "spot", "high",
    "When the spot market is empty, runs wait for as long as it is.",
    "add a NodePool of the same nodes with capacity type on-demand and a lower weight",
).stack()  # fmt: skip
def fallback(stack: Stack) -> Iterator[Finding]:
    pools = stack.of(NODE_POOL)
    for pool in pools:
        if _capacity(pool) != {"spot"}:
            continue
        below = [other for other in pools if _nodes(other) == _nodes(pool) and _weight(other) < _weight(pool)]
        if not any("on-demand" in _capacity(other) for other in below):
            yield Finding(
                f"NodePool {pool.name} launches spot only, and nothing of a lower weight takes over", pool.urn
            )


def on_demand(pod: PodTemplate) -> bool:
    """Whether nothing but on-demand or reserved nodes can take the pod."""
    selected = at(pod.spec, "nodeSelector", CAPACITY_TYPE)
    if selected is not None:
        return selected != "spot"
    terms = entries(
        pod.spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"
    )
    return bool(terms) and all(any(_excludes_spot(one) for one in entries(term, "matchExpressions")) for term in terms)


def _excludes_spot(expression: Values) -> bool:
    if at(expression, "key") != CAPACITY_TYPE:
        return False
    spot = "spot" in items(expression, "values")
    return not spot if at(expression, "operator") == "In" else spot and at(expression, "operator") == "NotIn"


def _tolerates(toleration: Values, taint: str) -> bool:
    return at(toleration, "key") in (None, taint) and at(toleration, "effect") in (None, "NoSchedule")


def _capacity(pool: Resource) -> set[str]:
    for requirement in entries(pool.props, "spec", "template", "spec", "requirements"):
        if at(requirement, "key") == CAPACITY_TYPE:
            return {str(value) for value in items(requirement, "values")}
    return {"on-demand"}


def _nodes(pool: Resource) -> Values:
    return dict(section(pool.props, "spec", "template", "metadata", "labels"))


def _weight(pool: Resource) -> float:
    return number(at(pool.props, "spec", "weight")) or 0
