"""The price tables, read once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

HOURS_A_MONTH = 730
_HERE = Path(__file__).resolve().parent
EC2 = _HERE / "ec2.json"
SERVICES = _HERE / "services.json"
# Made by `ops prices`, of the account that asks: none is shipped.
SPOT = _HERE / "spot.json"


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
    spot: Mapping[str, float]
    spot_about: str

    def hourly_of(self, kind: InstanceType, *, spot: bool) -> float:
        """USD an hour; on spot at the percentile that is kept, or at the on-demand price, which it cannot exceed."""
        return min(self.spot.get(kind.name, kind.hourly), kind.hourly) if spot else kind.hourly

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
    spot: dict[str, float] = {}
    spot_about = ""
    if SPOT.exists():
        kept = json.loads(SPOT.read_text())
        spot = kept["types"]
        spot_about = f"{kept['percentile']}th percentile of {kept['days']} days to {kept['date']}"
        about += f"; spot: {spot_about}"
    return Table(types, services["hourly"], services["monthly"], ec2["region"], about, spot, spot_about)
