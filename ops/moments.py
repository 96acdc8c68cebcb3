"""Moments as the API server writes them, and lengths of time as people say them."""

from __future__ import annotations

import datetime
import re
from typing import Any

from local.errors import MantaError

_LENGTH = re.compile(r"(\d+)([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}


def parse(moment: Any) -> datetime.datetime | None:
    """None for what is none."""
    try:
        return datetime.datetime.fromisoformat(str(moment))
    except ValueError:
        return None


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def said(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`: two units at most."""
    whole = max(0, round(seconds))
    for name, size, lower, part in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {name}{f' {rest} {lower}' if rest else ''}"
    return f"{whole} s"


def length(text: str) -> float:
    """Seconds of `90m`, `36h` or `7d`; raises MantaError for anything else."""
    found = _LENGTH.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise MantaError(f"{text!r} is no length of time: write it as 90m, 36h or 7d")
    return int(found[1]) * _SECONDS[found[2]]
