"""The answer to one question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# `unknown`: the question could not be asked; never taken for good.
Status = Literal["ok", "warning", "failed", "unknown"]


@dataclass(frozen=True)
class Outcome:
    """`says` is a sentence: what was found and, where it is not well, what will happen and what to do."""

    check: str
    status: Status
    says: str
