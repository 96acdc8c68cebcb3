"""The record of drills: which code has survived the loss of a worker, kept beside the pack and reviewed with it."""

from __future__ import annotations

import datetime
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

FILE = Path(__file__).resolve().parent / "drills.json"
_KEYS = ("bundle", "drill", "stack", "day", "passed")


class DrillError(ValueError):
    """One sentence: what is wrong with the record of drills."""


def passed(bundle: str) -> bool:
    """Whether a drill with the code of hash `bundle` is recorded as passed."""
    return bundle in load(FILE)


@lru_cache(maxsize=4)
def load(path: Path) -> frozenset[str]:
    """The bundles whose drill is recorded in `path` as passed; raises DrillError for a record that is not whole."""
    try:
        content: Any = json.loads(path.read_text()) if path.exists() else []
    except ValueError:
        raise DrillError(f"{path.name} is no JSON: mend it") from None
    if not isinstance(content, list):
        raise DrillError(f"{path.name} holds no list: each drill is an entry of {', '.join(_KEYS)}")
    listed = enumerate(cast(list[Any], content), 1)
    return frozenset(bundle for number, entry in listed if (bundle := _bundle(f"{path.name}, entry {number}", entry)))


def _bundle(where: str, entry: Any) -> str | None:
    """The bundle of a drill that was passed."""
    if not isinstance(entry, dict):
        raise DrillError(f"{where} is no mapping of {', '.join(_KEYS)}")
    given = cast(dict[str, Any], entry)
    if set(given) != set(_KEYS):
        raise DrillError(f"{where}: a drill has {', '.join(_KEYS)} and nothing else")
    if not re.fullmatch(r"[0-9a-f]{64}", str(given["bundle"])):
        raise DrillError(f"{where}: bundle {given['bundle']} is no hash; it is the output `bundle` of the stack tried")
    if not isinstance(given["passed"], bool):
        raise DrillError(f"{where}: passed {given['passed']} is neither true nor false")
    if not given["drill"] or not given["stack"]:
        raise DrillError(f"{where}: say in `drill` what was taken away, and in `stack` from which")
    try:
        datetime.date.fromisoformat(str(given["day"]))
    except ValueError:
        raise DrillError(f"{where}: day {given['day']} is no day; write it as 2027-01-31") from None
    return str(given["bundle"]) if given["passed"] else None
