"""List prices of machines, for ceilings: the table of `ops/prices/`, read as data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "ops" / "prices" / "ec2.json"


@dataclass(frozen=True)
class Machine:
    """`hourly` in USD, on demand."""

    hourly: float
    cpus: float
    gpus: float


@lru_cache(maxsize=1)
def load() -> dict[str, Machine]:
    rows = json.loads(FILE.read_text())["types"]
    return {name: Machine(hourly=row[0], cpus=row[1], gpus=row[3]) for name, row in rows.items()}
