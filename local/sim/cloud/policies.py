"""IAM policy evaluation: identity policies with actions, resources and conditions.

moto's own judges actions alone, and takes any condition for a refusal.
(docs.aws.amazon.com/IAM: Policy evaluation logic; IAM JSON policy elements: Condition operators)
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

Context = Mapping[str, tuple[str, ...]]
_VARIABLE = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True)
class Demand:
    """One action on one resource. `context`: condition key, in lower case, -> values; a key that is absent is null."""

    action: str
    resource: str
    context: Context


@dataclass(frozen=True)
class Verdict:
    """`by`: the statements that allow it."""

    allowed: bool
    by: tuple[str, ...] = ()


def evaluate(policies: Iterable[Mapping[str, Any]], demand: Demand) -> Verdict:
    """A matching Deny refuses, else a matching Allow permits, else it is refused. ValueError: an unknown operator."""
    allowing: list[str] = []
    for policy in policies:
        for number, statement in enumerate(_listed(policy.get("Statement", []))):
            if not matches(statement, demand):
                continue
            if statement["Effect"] == "Deny":
                return Verdict(allowed=False)
            allowing.append(str(statement.get("Sid", number)))
    return Verdict(bool(allowing), tuple(allowing))


def matches(statement: Mapping[str, Any], demand: Demand) -> bool:
    """Whether the statement is about `demand`, whatever its effect."""
    return (
        _concerns(statement, "Action", demand.action.lower(), str.lower)
        and _concerns(statement, "Resource", demand.resource, lambda text: _filled(text, demand.context))
        and all(
            _holds(
                operator,
                key.lower(),
                [_filled(str(value), demand.context) for value in _listed(values)],
                demand.context,
            )
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _concerns(statement: Mapping[str, Any], element: str, value: str, prepared: Callable[[str], str]) -> bool:
    if f"Not{element}" in statement:
        return not any(like(prepared(pattern), value) for pattern in _listed(statement[f"Not{element}"]))
    return any(like(prepared(pattern), value) for pattern in _listed(statement.get(element, [])))


def like(pattern: str, value: str) -> bool:
    """`*` and `?`; brackets mean themselves."""
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def _holds(operator: str, key: str, wanted: list[str], context: Context) -> bool:
    actual = context.get(key)
    quantifier, _, name = operator.rpartition(":")
    if name == "Null":
        return (actual is None) == (wanted[0].lower() == "true")
    optional = name.endswith("IfExists")
    compare, negated = _comparison(name.removesuffix("IfExists"))
    if actual is None:
        # Nothing there: true where the key is optional or all of no values are asked about, and for "is not".
        return optional or quantifier == "ForAllValues" or (negated and quantifier != "ForAnyValue")
    found = (any(compare(value, pattern) for pattern in wanted) != negated for value in actual)
    return all(found) if quantifier == "ForAllValues" else any(found)


def _comparison(name: str) -> tuple[Callable[[str, str], bool], bool]:
    negated = "Not" in name
    match name.replace("Not", ""):
        case "StringEquals":
            return (lambda value, pattern: value == pattern), negated
        case "StringEqualsIgnoreCase" | "Bool":
            return (lambda value, pattern: value.lower() == pattern.lower()), negated
        case "StringLike" | "ArnEquals" | "ArnLike":
            return (lambda value, pattern: like(pattern, value)), negated
        case "NumericLessThanEquals":
            return (lambda value, pattern: float(value) <= float(pattern)), negated
        case _:
            raise ValueError(f"condition operator {name} is not known to this simulation")


def _filled(text: str, context: Context) -> str:
    """With policy variables as `${aws:PrincipalTag/team}` replaced; one without a value matches nothing."""
    return _VARIABLE.sub(lambda match: (context.get(match.group(1).lower()) or ("\0",))[0], text)


def _listed(value: Any) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else [value]
