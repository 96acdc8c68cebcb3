"""A run as its RayJob shows it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from infra.plain import entries, section
from infra.ray.cluster import ROLE_LABEL, RUN_LABEL, STACK_LABEL
from infra.ray.starter import TEMPLATE_ROLE
from infra.ray.wait import RESULT_ANNOTATION
from ops import moments

ENDED = ("Complete", "Failed", "ValidationFailed", "Suspended")
GPU = "nvidia.com/gpu"


@dataclass(frozen=True)
class Run:
    """`state` is KubeRay's word for it. `attempts` counts from 1; `gpus` is the most that it may use at once.

    `template`: no run, but what a schedule makes its runs of.
    """

    name: str
    stack: str
    state: str
    reason: str
    started: datetime.datetime | None
    ended: datetime.datetime | None
    attempts: int
    gpus: float
    cluster: str
    result: Mapping[str, Any]
    template: bool = False

    @property
    def over(self) -> bool:
        return self.state in ENDED

    def seconds(self, now: datetime.datetime) -> float:
        if self.started is None:
            return 0.0
        return ((self.ended or now) - self.started).total_seconds()

    def as_dict(self, now: datetime.datetime) -> dict[str, Any]:
        return {
            "run": self.name,
            "stack": self.stack,
            "state": self.state,
            "reason": self.reason,
            "started": self.started.isoformat() if self.started else None,
            "ended": self.ended.isoformat() if self.ended else None,
            "seconds": round(self.seconds(now)),
            "attempts": self.attempts,
            "gpus": self.gpus,
            "result": dict(self.result),
        }


def from_job(job: Mapping[str, Any]) -> Run:
    metadata, status, spec = section(job, "metadata"), section(job, "status"), section(job, "spec")
    labels = section(metadata, "labels")
    info = section(status, "rayJobInfo")
    return Run(
        name=str(labels.get(RUN_LABEL) or metadata.get("name")),
        stack=str(labels.get(STACK_LABEL, "")),
        state=str(status.get("jobDeploymentStatus") or "New"),
        reason=str(status.get("reason") or ""),
        started=moments.parse(status.get("startTime") or metadata.get("creationTimestamp")),
        # A RayJob whose cluster waits for its time to live has the program's own end.
        ended=moments.parse(info.get("endTime") or status.get("endTime")),
        attempts=int(status.get("failed") or 0) + (0 if status.get("jobDeploymentStatus") in ("Failed",) else 1),
        gpus=_gpus(section(spec, "rayClusterSpec")),
        cluster=str(status.get("rayClusterName") or ""),
        result=_result(metadata),
        template=labels.get(ROLE_LABEL) == TEMPLATE_ROLE,
    )


def _gpus(cluster: Mapping[str, Any]) -> float:
    total = 0.0
    for group in (section(cluster, "headGroupSpec"), *entries(cluster, "workerGroupSpecs")):
        containers = entries(section(group, "template", "spec"), "containers")
        each = float(section(containers[0] if containers else {}, "resources", "limits").get(GPU) or 0)
        total += each * float(group.get("maxReplicas") or group.get("replicas") or 1)
    return total


def _result(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        value: Any = json.loads(section(metadata, "annotations").get(RESULT_ANNOTATION) or "{}")
    except ValueError:
        return {}
    return cast(Mapping[str, Any], value) if isinstance(value, dict) else {}
