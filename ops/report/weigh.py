"""What of a change a person must see first, and what stops it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from infra.plain import section
from infra.quantity import parse_quantity
from infra.ray.cluster import ROLE_LABEL
from infra.ray.starter import TEMPLATE_ROLE
from ops.prices.table import Table
from ops.report.costs import Bill, bill, limits, ray_cluster, ray_groups
from ops.report.preview import Change, Inputs, Preview, Violation

# What holds data, or what everything else stands on: gone or made again, it is not what it was.
STATEFUL = re.compile(
    r"aws:s3/bucket|aws:rds/|aws:dynamodb/|aws:efs/|aws:ebs/volume:|aws:kms/key:|aws:eks/cluster:|aws:ecr/repository:"
    r"|aws:elasticache/|aws:secretsmanager/secret:|aws:ec2/vpc:|aws:ec2/subnet:|aws:iam/openIdConnectProvider:"
    r"|kubernetes:core/v1:(Namespace|PersistentVolume|PersistentVolumeClaim|Secret)$|kubernetes:apps/v1:StatefulSet$"
    r"|kubernetes:apiextensions.k8s.io/|kubernetes:karpenter.sh/|manta:RandomSecret|random:"
)
ALLOW_LABEL = "allow-destructive"
# Where a rule that could not be judged counts as broken.
STRICT_ENVIRONMENTS = ("prod",)
RAY_JOB, RAY_SERVICE = "kubernetes:ray.io/v1:RayJob", "kubernetes:ray.io/v1:RayService"


@dataclass(frozen=True)
class Danger:
    change: Change
    reasons: tuple[str, ...]
    pending: bool  # the base branch would do the same


@dataclass(frozen=True)
class Weighed:
    """One stack's change, weighed. `blocked` are the reasons why it must not be merged as it is."""

    preview: Preview
    dangers: list[Danger]
    meaning: list[str]
    bill: Bill
    bill_before: Bill
    pending: frozenset[str]
    blocked: list[str] = field(default_factory=list[str])
    allowed: list[str] = field(default_factory=list[str])

    @property
    def mandatory(self) -> list[Violation]:
        return [each for each in self.preview.violations if each.mandatory and each.judged]

    @property
    def unjudged(self) -> list[Violation]:
        return [each for each in self.preview.violations if not each.judged]

    @property
    def advisory(self) -> list[Violation]:
        return [each for each in self.preview.violations if not each.mandatory and each.judged]


def weigh(head: Preview, base: Preview | None, prices: Table, labels: frozenset[str]) -> Weighed:
    """Judge `head`, the preview of a change, against `base`, that of the branch it goes to."""
    pending = frozenset(_pending(head, base)) if base else frozenset[str]()
    dangers = [
        Danger(change, reasons, change.urn in pending) for change in head.changes if (reasons := _dangerous(change))
    ]
    dangers.sort(key=_worst_first)
    before = bill(base.after if base else head.before, prices)
    weighed = Weighed(head, dangers, list(_meanings(head)), bill(head.after, prices), before, pending)
    weighed.blocked.extend(_blocked(weighed, labels))
    if dangers and ALLOW_LABEL in labels:
        weighed.allowed.append(f"{_count(len(dangers), 'destructive change')} allowed by the label {ALLOW_LABEL}")
    return weighed


def _worst_first(danger: Danger) -> tuple[bool, bool, str, str]:
    change = danger.change
    return (not change.protected, change.operation != "delete", change.type, change.urn)


def _blocked(weighed: Weighed, labels: frozenset[str]) -> Iterator[str]:
    preview = weighed.preview
    if preview.errors and not weighed.mandatory:
        yield "the preview failed"
    if weighed.mandatory:
        yield f"{_count(len(weighed.mandatory), 'broken mandatory rule')}"
    strict = preview.environment in STRICT_ENVIRONMENTS
    if weighed.unjudged and strict:
        yield f"{_count(len(weighed.unjudged), 'rule')} that cannot be judged before the update"
    if strict and not preview.judged:
        yield "no policy pack judged this preview"
    if weighed.dangers and ALLOW_LABEL not in labels:
        yield f"{_count(len(weighed.dangers), 'destructive change')} to what is protected or holds data"


def _dangerous(change: Change) -> tuple[str, ...]:
    if change.operation not in ("replace", "delete"):
        return ()
    reasons: list[str] = []
    if change.protected:
        reasons.append("protected")
    if STATEFUL.search(change.type):
        reasons.append("holds state")
    return tuple(reasons)


def _pending(head: Preview, base: Preview | None) -> Iterator[str]:
    """The changes that the base branch would make alike."""
    other = {change.urn: change for change in base.changes} if base else {}
    for change in head.changes:
        same = other.get(change.urn)
        if same and (same.operation, same.new) == (change.operation, change.new):
            yield change.urn


def _meanings(preview: Preview) -> Iterator[str]:
    """What a change of a run or an endpoint leads to in the cluster."""
    for change in preview.changes:
        if change.type == RAY_JOB:
            name = _object_name(change)
            if _is_template(change):
                yield _schedule(name, change)
                continue
            match change.operation:
                case "replace":
                    yield f"run {name} starts again as a new RayJob, from its last checkpoint if its name stays"
                case "create":
                    yield f"run {name} starts: {_size(change)}"
                case "delete":
                    yield f"run {name} and its Ray cluster end"
                case "update":
                    yield f"run {name}: KubeRay ignores changes of a submitted RayJob"
        elif change.type == RAY_SERVICE:
            yield _service(change)


def _schedule(name: str, change: Change) -> str:
    if change.operation == "create":
        return f"runs of {name} will start by the clock: {_size(change)} each"
    if change.operation == "delete":
        return f"no more runs of {name} start by the clock, and those that are there end"
    return f"the next run of {name} by the clock is of the new form; one that goes on stays as it is"


def _is_template(change: Change) -> bool:
    return section(change.new or change.old, "metadata", "labels").get(ROLE_LABEL) == TEMPLATE_ROLE


def _service(change: Change) -> str:
    name = _object_name(change)
    if change.operation == "create":
        return f"endpoint {name} starts: {_size(change)}"
    if change.operation == "delete":
        return f"endpoint {name} ends; its clients get no answer any more"
    if change.operation == "replace":
        return f"endpoint {name} is deleted and made again: it does not answer meanwhile"
    old, new = ray_cluster(change.old), ray_cluster(change.new)
    if old != new:
        return f"endpoint {name}: a second Ray cluster starts and traffic moves to it, which needs {_size(change)} more"
    if _serve_config(change.old) != _serve_config(change.new):
        return f"endpoint {name}: replicas are replaced in place, one after the other; no extra capacity"
    return f"endpoint {name}: no pod changes"


def _serve_config(inputs: Inputs) -> str:
    spec: Any = inputs.get("spec")
    return str(cast(Inputs, spec).get("serveConfigV2")) if isinstance(spec, dict) else ""


def _size(change: Change) -> str:
    """CPUs, memory and GPUs of the whole cluster at its largest, by the containers' limits."""
    cpus = memory = gpus = 0.0
    for _, pod, _, most in ray_groups(change.new):
        limit = limits(pod)
        cpus += most * _quantity(limit.get("cpu"))
        memory += most * _quantity(limit.get("memory"))
        gpus += most * _quantity(limit.get("nvidia.com/gpu"))
    accelerators = f", {gpus:g} GPUs" if gpus else ""
    return f"up to {cpus:g} CPUs, {memory / 2**30:g} GiB{accelerators}"


def _quantity(value: object) -> float:
    try:
        return float(parse_quantity(str(value)))
    except ValueError:
        return 0.0


def _object_name(change: Change) -> str:
    metadata = (change.new or change.old).get("metadata")
    return str(metadata.get("name", change.name)) if isinstance(metadata, dict) else change.name  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
