"""Two models on the same rows: is the difference more than chance?

Rows that both get right, or both wrong, say nothing about which is better. Of the others, a coin would give each model
half: McNemar's test in its exact form asks how likely a coin is to give one of them that many.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["better", "worse", "undecided"]


@dataclass(frozen=True)
class Comparison:
    """`gained` rows only the challenger got right, `lost` only the champion; `rows` of both."""

    rows: int
    champion_right: int
    challenger_right: int
    gained: int
    lost: int

    @property
    def p_value(self) -> float:
        """Two-sided, exact; 1 if the models never differ."""
        return p_value(self.gained, self.lost)

    def outcome(self, alpha: float) -> Outcome:
        if self.p_value > alpha:
            return "undecided"
        return "better" if self.gained > self.lost else "worse"


def compare(champion: list[bool], challenger: list[bool]) -> Comparison:
    """Whether each model got each row right, in one order of rows."""
    pairs = list(zip(champion, challenger, strict=True))
    return Comparison(
        rows=len(pairs),
        champion_right=sum(champion),
        challenger_right=sum(challenger),
        gained=sum(new and not old for old, new in pairs),
        lost=sum(old and not new for old, new in pairs),
    )


def p_value(gained: int, lost: int) -> float:
    """Of `gained + lost` tosses of a coin, the probability of a split at least this uneven."""
    total, fewer = gained + lost, min(gained, lost)
    if gained == lost:
        return 1.0
    # Whole numbers up to the last division: no rounding however many rows differ.
    return 2 * sum(math.comb(total, count) for count in range(fewer + 1)) / 2**total
