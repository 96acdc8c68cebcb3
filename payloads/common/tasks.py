"""Ray tasks over many items with a bounded number in flight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import ray
from ray.exceptions import RayTaskError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Limits:
    """`at_once` tasks of `cpus` and `gpus` each. A task whose worker or node is lost is run again `retries` times."""

    at_once: int
    cpus: float = 1
    gpus: float = 0
    retries: int = 3


def bounded(
    function: Callable[..., Any], items: Iterable[Item], shared: tuple[Any, ...], limits: Limits
) -> Iterator[tuple[Item, Any]]:
    """Run `function(*shared, item)` for each item and yield (item, result) as they end.

    Nothing is submitted ahead of what may run: a driver that dies leaves `at_once` tasks behind and not a queue, and
    the arguments of a million items are never in memory at once. `shared` is put into the object store once. A task's
    own exception is raised as it was; what else runs is cancelled.
    """
    task = ray.remote(num_cpus=limits.cpus, num_gpus=limits.gpus, max_retries=limits.retries)(_call)
    stored = [ray.put(value) for value in shared]
    waiting = iter(items)
    running: dict[Any, Item] = {}
    try:
        while True:
            while len(running) < limits.at_once and (item := next(waiting, _END)) is not _END:
                running[task.remote(function, item, *stored)] = item
            if not running:
                return
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            item = running.pop(done)
            try:
                result = ray.get(done)
            except RayTaskError as error:
                raise error.cause if isinstance(error.cause, Exception) else error from None
            yield item, result
    finally:
        for left in running:
            ray.cancel(left, force=False)


_END: Any = object()


def _call(function: Callable[..., Any], item: Any, *shared: Any) -> Any:
    return function(*shared, item)
