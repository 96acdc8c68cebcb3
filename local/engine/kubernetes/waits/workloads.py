"""Deployments, StatefulSets and DaemonSets: rolled out to the newest spec."""

from __future__ import annotations

from collections.abc import Sequence

from local.engine.kubernetes.objects import Object, section
from local.engine.kubernetes.waits.pods import problems
from local.engine.kubernetes.waits.status import (
    PODS,
    Failed,
    Query,
    Ready,
    Status,
    Waiting,
    condition,
    is_true,
    selector_text,
    settled,
    with_problems,
)


def pods_of(obj: Object) -> tuple[Query, ...]:
    return (Query(PODS, label_selector=selector_text(obj["spec"]["selector"])),)


def deployment_status(obj: Object, pods: Sequence[Object]) -> Status:
    if not settled(obj) or "observedGeneration" not in section(obj, "status"):
        return Waiting("the Deployment controller has not seen it yet")
    status, wanted = obj["status"], obj["spec"].get("replicas", 1)
    failure = condition(obj, "ReplicaFailure")
    if failure is not None and failure.get("status") == "True":
        return Waiting(f"pods cannot be created: {failure.get('message')}")
    progressing = condition(obj, "Progressing")
    if progressing is not None and progressing.get("reason") == "ProgressDeadlineExceeded":
        return Failed(with_problems(str(progressing.get("message")), problems(pods)))
    updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    available = status.get("availableReplicas", 0)
    if updated < wanted:
        return Waiting(with_problems(f"{updated} of {wanted} new pods created", problems(pods)))
    if total > updated:
        return Waiting(with_problems(f"{total - updated} old pods still run", problems(pods)))
    if available < wanted:
        return Waiting(with_problems(f"{available} of {wanted} pods available", problems(pods)))
    if wanted and not is_true(obj, "Available"):
        return Waiting("not marked as available yet")
    return Ready()


def statefulset_status(obj: Object, pods: Sequence[Object]) -> Status:
    if not settled(obj) or "observedGeneration" not in section(obj, "status"):
        return Waiting("the StatefulSet controller has not seen it yet")
    status, wanted = obj["status"], obj["spec"].get("replicas", 1)
    strategy = section(obj, "spec", "updateStrategy")
    ready = status.get("readyReplicas", 0)
    if ready < wanted:
        return Waiting(with_problems(f"{ready} of {wanted} pods ready", problems(pods)))
    if strategy.get("type", "RollingUpdate") == "OnDelete":
        return Ready()
    kept = section(strategy, "rollingUpdate").get("partition") or 0
    updated = status.get("updatedReplicas", 0)
    new = max(wanted - kept, 0)
    # Once no pod is old, the controller makes the update revision the current one and stops counting updated pods.
    if updated < new and status.get("currentRevision") != status.get("updateRevision"):
        return Waiting(with_problems(f"{updated} of {new} pods updated", problems(pods)))
    return Ready()


def daemonset_status(obj: Object, pods: Sequence[Object]) -> Status:
    if not settled(obj) or "observedGeneration" not in section(obj, "status"):
        return Waiting("the DaemonSet controller has not seen it yet")
    status = obj["status"]
    wanted = status.get("desiredNumberScheduled", 0)
    on_delete = section(obj, "spec", "updateStrategy").get("type") == "OnDelete"
    updated = wanted if on_delete else status.get("updatedNumberScheduled", 0)
    available = status.get("numberAvailable", 0)
    if updated < wanted:
        return Waiting(with_problems(f"{updated} of {wanted} pods updated", problems(pods)))
    if available < wanted:
        return Waiting(with_problems(f"{available} of {wanted} pods available", problems(pods)))
    return Ready()
