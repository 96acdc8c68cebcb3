"""Label selectors, as Kubernetes evaluates them."""

from __future__ import annotations

from collections.abc import Mapping

from policies.rule import Resource
from policies.values import Values, at, entries, items, section


def matches(selector: Values, labels: Mapping[str, str]) -> bool:
    """Whether `selector` (matchLabels and matchExpressions) selects `labels`; an empty one selects all."""
    for key, value in section(selector, "matchLabels").items():
        if labels.get(key) != value:
            return False
    return all(_expression(expression, labels) for expression in entries(selector, "matchExpressions"))


def monitored_namespaces(monitor: Resource) -> list[str]:
    """The namespaces that a PodMonitor or ServiceMonitor looks into; `*` for all of them."""
    selector = section(monitor.props, "spec", "namespaceSelector")
    if at(selector, "any") is True:
        return ["*"]
    own = at(monitor.props, "metadata", "namespace")
    return [str(name) for name in items(selector, "matchNames")] or ([str(own)] if own else [])


def _expression(expression: Values, labels: Mapping[str, str]) -> bool:
    key, values = str(at(expression, "key")), {str(value) for value in items(expression, "values")}
    match at(expression, "operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False
