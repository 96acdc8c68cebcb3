"""A known failure: how it is recognised, why it happens and what mends it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ops.diagnose.signals import Place, Signal


@dataclass(frozen=True)
class Cause:
    """`pattern` is looked for in what is said at `places`; `{name}` in `why` and `fix` is the group of that name."""

    name: str
    places: frozenset[Place]
    pattern: re.Pattern[str]
    why: str
    fix: str

    def explains(self, signal: Signal) -> tuple[str, str] | None:
        """Why and what to do, if this is the cause."""
        if signal.place not in self.places:
            return None
        found = self.pattern.search(signal.text)
        if found is None:
            return None
        groups = {key: " ".join((value or "").split()) for key, value in found.groupdict().items()}
        return self.why.format_map(groups), self.fix.format_map(groups)


def cause(name: str, places: str, pattern: str, why: str, fix: str) -> Cause:
    """`places` are separated by blanks; the pattern's `.` does not match a line's end."""
    return Cause(name, frozenset(places.split()), re.compile(pattern), why, fix)  # pyright: ignore[reportArgumentType]
