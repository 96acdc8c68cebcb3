"""Several calls at once, within a deadline: what has come counts, what has not is let go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

logger = logging.getLogger("ray.serve")
Value = TypeVar("Value")


@dataclass
class Gathered(Generic[Value]):
    """`missing` maps calls without an answer to the reason: `late`, or `failed`, of which the log tells more."""

    answers: dict[str, Value] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


async def gather(calls: Mapping[str, Awaitable[Value]], deadline_s: float) -> Gathered[Value]:
    """Await all of `calls`, for at most `deadline_s`; those that are late are cancelled, also where the caller is."""
    tasks = {name: asyncio.ensure_future(call) for name, call in calls.items()}
    found: Gathered[Value] = Gathered()
    try:
        await asyncio.wait(tasks.values(), timeout=deadline_s)
    finally:
        for task in tasks.values():
            task.cancel()  # nothing happens to one that is done
    for name, task in tasks.items():
        if not task.done() or task.cancelled():
            found.missing[name] = "late"
        elif (error := task.exception()) is not None:
            logger.warning("member %s failed: %r", name, error)
            found.missing[name] = "failed"
        else:
            found.answers[name] = task.result()
    return found
