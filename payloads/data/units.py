"""A pass over units of work, of which those with a receipt are not done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from payloads.common import reporting
from payloads.common.receipts import Receipt, Receipts
from payloads.common.tasks import Limits, bounded

# A line for each unit would drown the log of a run of thousands.
LINES_A_STAGE = 10


class Numbered(Protocol):
    @property
    def index(self) -> int: ...


def stage(
    receipts: Receipts,
    name: str,
    plan: Sequence[Numbered],
    function: Callable[..., Receipt],
    shared: tuple[Any, ...],
    limits: Limits,
) -> list[Receipt]:
    """Receipts of all units, in their order; `function(*shared, unit)` leaves that of a unit which has none yet."""
    found = receipts.found()
    told = Told(name, len(plan), len(found))
    left = [unit for unit in plan if unit.index not in found]
    for unit, receipt in bounded(function, left, shared, limits):
        found[unit.index] = receipt
        told.done(len(found))
    return [found[unit.index] for unit in plan]


class Told:
    """Progress lines of a pass: what was done before, then a line for each tenth."""

    def __init__(self, name: str, units: int, before: int) -> None:
        self.name = name
        self.units = units
        self.tenths = 0
        if before:
            reporting.progress(f"{name}: {before} of {units} units were done before")

    def done(self, count: int) -> None:
        if (tenths := count * LINES_A_STAGE // self.units) > self.tenths:
            self.tenths = tenths
            reporting.progress(f"{self.name}: {count} of {self.units} units")
