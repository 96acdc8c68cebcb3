"""Alerts and recorded series as values, and the PrometheusRule that carries them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

API = "monitoring.coreos.com/v1"
# Every page is one file; a team that serves the docs says where (manta:monitoring.runbooks).
RUNBOOKS = "docs/runbooks"
# Words of PromQL and names of labels never have an underscore-joined prefix of these; names of metrics always do.
_METRIC = re.compile(
    r"(?<![\w:])(?:up|(?:cluster|stack|nodepool):[a-zA-Z0-9_:]+"
    r"|(?:ray|kuberay|karpenter|kube|autoscaler|prometheus|alertmanager)_[a-zA-Z0-9_]+)(?![\w(])"
)
_SELECTORS = re.compile(r"\{[^{}]*\}|\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^()]*\)|\"[^\"]*\"")


@dataclass(frozen=True)
class Record:
    """A series computed once for all who ask for it: `level:metric:operation`, as Prometheus' own guide names them."""

    name: str
    expr: str


@dataclass(frozen=True)
class Alert:
    """`lasts` is how long `expr` must hold, in Prometheus' notation. `critical` means that somebody is woken."""

    name: str
    expr: str
    summary: str
    severity: Literal["critical", "warning"] = "warning"
    lasts: str = "0m"
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated together, in this order. `cloud`: they speak of metrics that only AWS has."""

    name: str
    rules: tuple[Record | Alert, ...]
    cloud: bool = False

    @property
    def alerts(self) -> tuple[Alert, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, Alert))


def rendered(groups: Iterable[Group], runbooks: str = RUNBOOKS) -> dict[str, Any]:
    """`groups` as Prometheus reads them from a file."""
    return {
        "groups": [{"name": group.name, "rules": [_rule(rule, runbooks) for rule in group.rules]} for group in groups]
    }


def rule_manifest(
    name: str, namespace: str, groups: Sequence[Group], runbooks: str, labels: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "PrometheusRule",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": rendered(groups, runbooks),
    }


def metric_names(expr: str) -> set[str]:
    """The names of metrics and recorded series in a PromQL expression."""
    return set(_METRIC.findall(_SELECTORS.sub(" ", expr)))


def _rule(rule: Record | Alert, runbooks: str) -> dict[str, Any]:
    if isinstance(rule, Record):
        return {"record": rule.name, "expr": rule.expr}
    alert: dict[str, Any] = {
        "alert": rule.name,
        "expr": rule.expr,
        "labels": {"severity": rule.severity, **rule.labels},
        "annotations": {"summary": rule.summary, "runbook_url": f"{runbooks.rstrip('/')}/{rule.name}.md"},
    }
    # Prometheus' own default would come back from the API server as a difference.
    return alert if rule.lasts == "0m" else {**alert, "for": rule.lasts}
