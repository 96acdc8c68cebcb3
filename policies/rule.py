"""A rule: one sentence why, how to mend it, how bad it is, and a check that finds what breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from policies.values import Values

Severity = Literal["low", "medium", "high", "critical"]
LOCAL = "local"
PROD = "prod"
WORKBENCH = "workbench"


@dataclass(frozen=True)
class Resource:
    """One resource as its program asked for it. `environment` is that of its stack, `` if the name says none.

    `props` holds secrets in clear: a check may say the name of a property, never its value where that could be one.
    """

    type: str
    name: str
    urn: str
    props: Values
    protect: bool
    environment: str
    provider: Values = field(default_factory=dict[str, object])  # the inputs of its provider

    @property
    def layer(self) -> str:
        """`workbench` of a resource of the stack workbench-dev."""
        return self.urn.removeprefix("urn:pulumi:").partition("::")[0].partition("-")[0]


@dataclass(frozen=True)
class Stack:
    """All resources of a stack, after its program has run."""

    name: str
    environment: str
    resources: Sequence[Resource]

    @property
    def layer(self) -> str:
        return self.name.partition("-")[0]

    def of(self, *types: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type in types]


@dataclass(frozen=True)
class Finding:
    """What a check of a whole stack found: at `urn`, or about the stack if that is empty."""

    message: str
    urn: str = ""


@dataclass(frozen=True)
class Rule:
    """`types` are the resource types that a resource rule looks at; empty for all of them."""

    name: str
    category: str
    severity: Severity
    why: str
    fix: str
    types: frozenset[str]
    check: Callable[[Resource], Iterator[str]] | None = None
    check_stack: Callable[[Stack], Iterator[Finding]] | None = None


@dataclass(frozen=True)
class About:
    """What is the same for a rule on resources and one on stacks."""

    name: str
    category: str
    severity: Severity
    why: str
    fix: str

    def resources(self, *types: str) -> Callable[[Callable[[Resource], Iterator[str]]], Rule]:
        def made(check: Callable[[Resource], Iterator[str]]) -> Rule:
            return Rule(self.name, self.category, self.severity, self.why, self.fix, frozenset(types), check=check)

        return made

    def stack(self) -> Callable[[Callable[[Stack], Iterator[Finding]]], Rule]:
        def made(check: Callable[[Stack], Iterator[Finding]]) -> Rule:
            return Rule(self.name, self.category, self.severity, self.why, self.fix, frozenset(), check_stack=check)

        return made


def environment_of(stack: str) -> str:
    """`prod` of `serve-prod` and `train-prod-lr3`; empty for a name that says none."""
    parts = stack.split("-")
    return parts[1] if len(parts) > 1 else ""
