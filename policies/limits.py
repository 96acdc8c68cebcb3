"""What an environment may ask for: limits.json, which a team edits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).resolve().parent / "limits.json"


@dataclass(frozen=True)
class Limits:
    """By environment; one that is not named has none: `gpus` of a pool or run, `usd_an_hour` of a stack. `tags` is what
    every AWS resource carries."""

    gpus: dict[str, float]
    usd_an_hour: dict[str, float]
    tags: tuple[str, ...]


@lru_cache(maxsize=1)
def load() -> Limits:
    given = json.loads(FILE.read_text())
    return Limits(given["gpus"], given["usd_an_hour"], tuple(given["tags"]))
