"""The vocabulary of waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from local.engine.kubernetes.identity import GroupVersionKind
from local.engine.kubernetes.objects import Object, items, section


@dataclass(frozen=True)
class Ready:
    pass


@dataclass(frozen=True)
class Waiting:
    """`reason`: what is still missing, for a person to read while waiting and after a timeout."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """It will not become ready without a change."""

    reason: str


Status = Ready | Waiting | Failed


@dataclass(frozen=True)
class Query:
    """Other objects that a wait looks at, in the namespace of the one waited for (cluster-wide kinds: everywhere)."""

    gvk: GroupVersionKind
    label_selector: str = ""
    name: str = ""


PODS = GroupVersionKind("", "v1", "Pod")


def settled(obj: Object) -> bool:
    """Whether the controller has seen the newest spec; before that its status speaks of an older one."""
    generation = obj["metadata"].get("generation")
    observed = section(obj, "status").get("observedGeneration")
    return generation is None or observed is None or observed >= generation


def condition(obj: Object, kind: str) -> Object | None:
    for entry in items(obj, "status", "conditions"):
        if entry.get("type") == kind:
            return entry
    return None


def is_true(obj: Object, kind: str) -> bool:
    found = condition(obj, kind)
    return found is not None and found.get("status") == "True"


def selector_text(selector: Object) -> str:
    """A LabelSelector in the form that queries take."""
    parts = [f"{key}={value}" for key, value in section(selector, "matchLabels").items()]
    for expression in items(selector, "matchExpressions"):
        key, values = expression["key"], ",".join(expression.get("values", ()))
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[expression["operator"]]
        )
    return ",".join(parts)


def with_problems(reason: str, problems: Sequence[str]) -> str:
    return "; ".join(part.rstrip(".") for part in (reason, *problems))
