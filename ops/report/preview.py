"""What a preview says, whichever of its two forms it was written in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Operation = Literal["create", "update", "replace", "delete"]
Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """One resource that would change. `forced_by` are the properties because of which it is replaced.

    Secrets in `old` and `new` are `[secret]`: the engine writes them so.
    """

    operation: Operation
    urn: str
    type: str
    protected: bool
    old: Inputs
    new: Inputs
    forced_by: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", 1)[-1]


@dataclass(frozen=True)
class Resource:
    """A resource as it was, or as it would be."""

    urn: str
    type: str
    inputs: Inputs

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", 1)[-1]


@dataclass(frozen=True)
class Violation:
    """`judged` is false where the rule could not look, since a value is not known before the update."""

    rule: str
    mandatory: bool
    severity: str
    message: str
    urn: str
    judged: bool = True


@dataclass(frozen=True)
class Preview:
    """One stack's preview. `judged` says whether the policy pack ran; a digest cannot tell, and is taken for no."""

    stack: str
    changes: list[Change] = field(default_factory=list[Change])
    before: list[Resource] = field(default_factory=list[Resource])
    after: list[Resource] = field(default_factory=list[Resource])
    violations: list[Violation] = field(default_factory=list[Violation])
    errors: list[str] = field(default_factory=list[str])
    judged: bool = False
    unchanged: int = 0

    @property
    def environment(self) -> str:
        parts = self.stack.split("-")
        return parts[1] if len(parts) > 1 else ""
