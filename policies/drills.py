"""The record of drills: which code has survived the loss of a worker, kept beside the pack and reviewed with it."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

FILE = Path(__file__).resolve().parent / "drills.json"


def passed(bundle: str) -> bool:
    """Whether a drill with the code of hash `bundle` is recorded as passed."""
    return bundle in _passed(FILE)


@lru_cache(maxsize=4)
def _passed(path: Path) -> frozenset[str]:
    records = cast(list[dict[str, Any]], json.loads(path.read_text()) if path.exists() else [])
    return frozenset(str(record["bundle"]) for record in records if record.get("passed") is True)
