"""Jobs: complete, or failed with the reason of their pods."""

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
    with_problems,
)


def pods_of(obj: Object) -> tuple[Query, ...]:
    return (Query(PODS, label_selector=f"batch.kubernetes.io/job-name={obj['metadata']['name']}"),)


def job_status(obj: Object, pods: Sequence[Object]) -> Status:
    if is_true(obj, "Complete"):
        return Ready()
    failed = condition(obj, "Failed")
    if failed is not None and failed.get("status") == "True":
        return Failed(with_problems(f"the Job failed: {failed.get('message')}", problems(pods)))
    if obj["spec"].get("suspend"):
        # Whoever resumes it is not this update: waiting would hold the stack for nothing.
        return Ready()
    status = section(obj, "status")
    counts = f"{status.get('succeeded', 0)} of {obj['spec'].get('completions', 1)} completed"
    if status.get("failed"):
        counts += f", {status['failed']} pods failed"
    return Waiting(with_problems(counts, problems(pods)))
