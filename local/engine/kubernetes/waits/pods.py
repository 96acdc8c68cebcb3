"""Pods: when one is ready, and what stands in the way of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from local.engine.kubernetes.objects import Object, items, section
from local.engine.kubernetes.waits.status import Failed, Ready, Status, Waiting, condition, is_true

# What kubelet calls a container that waits for something it will not get by itself.
HOPELESS_REASONS = {
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
}
MAX_PROBLEMS = 3


def pod_status(pod: Object) -> Status:
    name = pod["metadata"]["name"]
    phase = section(pod, "status").get("phase")
    if phase == "Succeeded" or is_true(pod, "Ready"):
        return Ready()
    if phase == "Failed":
        return Failed(f"pod {name} failed: {_failure(pod)}")
    problem = next(_problems_of(pod), None)
    return Waiting(problem or f"pod {name} is {(phase or 'not scheduled yet').lower()}")


def problems(pods: Sequence[Object]) -> list[str]:
    """What is wrong with pods that are not ready, each problem once, the newest pods first."""
    newest = sorted(pods, key=lambda p: p["metadata"].get("creationTimestamp") or "", reverse=True)
    found: dict[str, None] = {}
    for pod in newest:
        if not pod["metadata"].get("deletionTimestamp") and not is_true(pod, "Ready"):
            found.update(dict.fromkeys(_problems_of(pod)))
    return list(found)[:MAX_PROBLEMS]


def _problems_of(pod: Object) -> Iterator[str]:
    name = pod["metadata"]["name"]
    status = section(pod, "status")
    scheduled = condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("status") == "False":
        yield f"pod {name} cannot be scheduled: {scheduled.get('message') or scheduled.get('reason')}"
    for container in (*items(status, "initContainerStatuses"), *items(status, "containerStatuses")):
        waiting = section(container, "state", "waiting")
        terminated = section(container, "state", "terminated")
        ended = terminated or section(container, "lastState", "terminated")
        where = f"container {container.get('name')} of pod {name}"
        if waiting.get("reason") in HOPELESS_REASONS:
            message = waiting.get("message") or ""
            last = f" (last exit code {ended['exitCode']}{_because(ended)})" if ended.get("exitCode") else ""
            yield f"{where}: {waiting['reason']}{': ' + message if message else ''}{last}"
        elif terminated.get("exitCode"):
            yield f"{where} exited with code {ended['exitCode']}{_because(ended)}"
    if status.get("phase") == "Failed":
        yield f"pod {name} failed: {_failure(pod)}"


def _because(ended: Object) -> str:
    text = ended.get("message") or ended.get("reason") or ""
    return f", {text.strip()}" if text and text != "Error" else ""


def _failure(pod: Object) -> str:
    status = section(pod, "status")
    if status.get("message") or status.get("reason"):
        return str(status.get("message") or status.get("reason"))
    for container in (*items(status, "initContainerStatuses"), *items(status, "containerStatuses")):
        ended = section(container, "state", "terminated")
        if ended.get("exitCode"):
            return f"container {container.get('name')} exited with code {ended['exitCode']}{_because(ended)}"
    return "no reason given"
