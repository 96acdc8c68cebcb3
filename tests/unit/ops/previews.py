"""Previews in the engine's own forms, made from a few words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

BUCKET, POOL = "aws:s3/bucket:Bucket", "kubernetes:karpenter.sh/v1:NodePool"
DEPLOYMENT, RAY_JOB, RAY_SERVICE = (
    "kubernetes:apps/v1:Deployment", "kubernetes:ray.io/v1:RayJob", "kubernetes:ray.io/v1:RayService",
)  # fmt: skip
Step = dict[str, Any]


def urn(kind: str, name: str, stack: str = "platform-prod") -> str:
    return f"urn:pulumi:{stack}::manta::{kind}::{name}"


def step(
    operation: str,
    kind: str,
    name: str,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    *,
    protect: bool = False,
    forced_by: Sequence[str] = (),
) -> Step:
    """A step as `pulumi preview --json` writes it."""
    made: Step = {
        "op": operation,
        "urn": urn(kind, name),
        "detailedDiff": {p: {"kind": "update-replace"} for p in forced_by},
    }
    for key, inputs in (("oldState", old), ("newState", new)):
        if inputs is not None:
            made[key] = {"urn": made["urn"], "type": kind, "inputs": dict(inputs), "protect": protect}
    return made


def digest(*steps: Step, diagnostics: Sequence[Mapping[str, Any]] = ()) -> str:
    return json.dumps({"config": {}, "steps": list(steps), "diagnostics": list(diagnostics), "duration": 1})


def stream(*steps: Step, policies: Sequence[Mapping[str, Any]] = (), judged: bool = True) -> str:
    """The same as events, with what the policies said."""
    events: list[dict[str, Any]] = [{"policyLoadEvent": {}}] if judged else []
    for each in steps:
        states = {"old": each.get("oldState"), "new": each.get("newState")}
        metadata = {"op": each["op"], "urn": each["urn"], "type": "", "detailedDiff": each["detailedDiff"], **states}
        events += [{"resourcePreEvent": {"metadata": metadata}}]
    events += [{"policyEvent": dict(policy)} for policy in policies]
    events += [{"summaryEvent": {"resourceChanges": {}}}]
    return "\n".join(json.dumps({"sequence": number, "timestamp": 1, **event}) for number, event in enumerate(events))


def policy(rule: str, message: str, level: str = "mandatory", resource: str = "") -> dict[str, Any]:
    return {
        "policyName": rule, "message": f"Why.\n{message}\n", "enforcementLevel": level, "severity": "high",
        "resourceUrn": resource,
    }  # fmt: skip
