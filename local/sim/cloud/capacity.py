"""What AWS has none of right now: set by tests and by `python -m local.sim`, asked by every launch."""

from __future__ import annotations

import fnmatch
import threading
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Shortage:
    """Patterns (`*`, `g5.*`) of what cannot be launched."""

    capacity_type: str = "*"
    instance_type: str = "*"
    zone: str = "*"

    def hits(self, capacity_type: str, instance_type: str, zone: str) -> bool:
        pairs = ((self.capacity_type, capacity_type), (self.instance_type, instance_type), (self.zone, zone))
        return all(fnmatch.fnmatchcase(value, pattern) for pattern, value in pairs)


class Capacity:
    def __init__(self) -> None:
        self._shortages: tuple[Shortage, ...] = ()
        self._lock = threading.Lock()

    def set(self, shortages: list[dict[str, str]]) -> None:
        """Replace all shortages; TypeError for a field that none has."""
        found = tuple(Shortage(**item) for item in shortages)
        with self._lock:
            self._shortages = found

    def has(self, capacity_type: str, instance_type: str, zone: str) -> bool:
        return not any(shortage.hits(capacity_type, instance_type, zone) for shortage in self._shortages)

    def shown(self) -> list[dict[str, Any]]:
        return [asdict(shortage) for shortage in self._shortages]
