"""A challenger that sees real requests and whose answers nobody gets.

They are compared with what was answered, counted and, where they differ, logged. A challenger that is slow or broken
costs nothing: what it has not answered is bounded, and above that it is not asked.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

import numpy as np

logger = logging.getLogger("ray.serve")


@dataclass
class Tally:
    """Rows compared and the same, requests not shown to the challenger, requests that it failed on."""

    rows: int = 0
    same: int = 0
    skipped: int = 0
    failed: int = 0


class Shadow:
    """`show` it a request once that has been answered."""

    def __init__(self, ask: Callable[[np.ndarray], Awaitable[np.ndarray]], at_once: int, deadline_s: float) -> None:
        self.ask = ask
        self.at_once = at_once
        self.deadline_s = deadline_s
        self.tally = Tally()
        # asyncio keeps only weak references to tasks: without this one could vanish in mid-flight.
        self.tasks: set[asyncio.Task[None]] = set()

    def show(self, rows: np.ndarray, classes: list[int], request_id: str) -> None:
        """Ask the challenger about `rows` and compare with `classes`, later; returns at once."""
        if len(self.tasks) >= self.at_once:
            self.tally.skipped += 1
            return
        task = asyncio.get_running_loop().create_task(self._compare(rows, classes, request_id))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def report(self) -> dict[str, int]:
        return asdict(self.tally)

    async def _compare(self, rows: np.ndarray, classes: list[int], request_id: str) -> None:
        try:
            async with asyncio.timeout(self.deadline_s):
                found = (await self.ask(rows)).argmax(axis=1).tolist()
        except Exception as error:
            self.tally.failed += 1
            logger.warning("shadow: request %s: %r", request_id, error)
            return
        differing = [index for index, (one, other) in enumerate(zip(classes, found, strict=True)) if one != other]
        self.tally.rows += len(classes)
        self.tally.same += len(classes) - len(differing)
        if differing:
            pairs = [{"row": row, "answered": classes[row], "challenger": found[row]} for row in differing[:20]]
            logger.warning("shadow: %s", json.dumps({"request_id": request_id, "differing": pairs}))
