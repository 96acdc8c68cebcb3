"""One large array in Ray's object store, read by many tasks without a copy, and how that is known.

A task that gets the array by reference sees the store's shared memory itself. Three things tell whether it does: the
slice lies in a shared mapping of the process, it cannot be written to, and the process's own memory did not grow.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray

from payloads.common.tasks import Limits, bounded


@dataclass(frozen=True)
class Sight:
    """What a task saw of its slice; `grown` is by how many bytes its own memory grew."""

    shared: bool
    writable: bool
    grown: int
    bytes: int
    total: float

    @property
    def copied(self) -> bool:
        return not self.shared or self.writable or self.grown > self.bytes // 2


def look(holder: list[Any], edges: tuple[int, int]) -> Sight:
    """Read rows `edges[0]` to `edges[1]` of the array that `holder` refers to.

    The reference comes inside a list, so that it is fetched here and not before the task is measured.
    """
    before = own_memory()
    part = ray.get(holder[0])[edges[0] : edges[1]]
    # In pieces: converting the whole slice to float64 would itself be a copy.
    total = sum(float(rows.sum(dtype=np.float64)) for rows in np.array_split(part, max(1, len(part) // 10_000)))
    return Sight(is_shared(part), bool(part.flags.writeable), own_memory() - before, part.nbytes, total)


def run(matrix: np.ndarray, slices: int, limits: Limits) -> list[Sight]:
    """Put `matrix` into the store once and have each slice looked at by a task."""
    reference = ray.put(matrix)
    edges = np.linspace(0, len(matrix), slices + 1).astype(int).tolist()
    pairs = list(itertools.pairwise(edges))
    return [sight for _, sight in bounded(look, pairs, ([reference],), limits)]


def is_shared(array: np.ndarray) -> bool:
    """Whether the array's first byte lies in a mapping that other processes share."""
    address = array.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, permissions, *_ = line.split()
        first, last = (int(end, 16) for end in span.split("-"))
        if first <= address < last:
            return permissions.endswith("s")
    return False


def own_memory() -> int:
    """Bytes of anonymous memory of this process: what it allocated itself, shared memory left out."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0
