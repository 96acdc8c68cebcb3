"""The price tables, read once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

HOURS_A_MONTH = 730
_HERE = Path(__file__).resolve().parent
EC2 = _HERE / "ec2.json"
SERVICES = _HERE / "services.json"


@dataclass(frozen=True)
class InstanceType:
    """`hourly` is the on-demand list price in USD, without disks and traffic."""

    name: str
    hourly: float
    cpus: int
    memory_gib: float
    gpus: int
    gpu: str


@dataclass(frozen=True)
class Table:
    """`about` says in one sentence where the numbers come from, and of when they are."""

    types: dict[str, InstanceType]
    hourly: dict[str, float]
    monthly: dict[str, float]
    region: str
    about: str

    def service(self, name: str) -> float:
        """USD an hour."""
        return self.hourly[name] if name in self.hourly else self.monthly[name] / HOURS_A_MONTH


@lru_cache(maxsize=1)
def load() -> Table:
    ec2, services = json.loads(EC2.read_text()), json.loads(SERVICES.read_text())
    types = {name: InstanceType(name, *row) for name, row in ec2["types"].items()}
    about = (
        f"{ec2['source']} ({ec2['date']}, {ec2['region']}); other services: {services['source']} ({services['date']})"
    )
    return Table(types, services["hourly"], services["monthly"], ec2["region"], about)
