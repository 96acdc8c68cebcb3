"""A parameter server: one detached actor with a name, which workers pull weights from and push gradients to.

Its queue is bounded. A push that finds it full is answered only when there is room, and a worker leaves no more than a
few pushes unanswered: a slow server slows its workers and is never buried by them. Detached, it outlives the driver: a
restarted one finds it by its name. A gradient counts once, however often it is pushed.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import ray

from payloads.common.errors import PayloadError

NAMESPACE = "manta"


@dataclass
class Stats:
    """`applied` gradients, the `longest` queue, pushes that `waited` for room, pushes that came `again`."""

    applied: int = 0
    longest: int = 0
    waited: int = 0
    again: int = 0


class ParameterServer:
    """Weights (float32 [size]) and the queue of gradients that are to be applied to them, one after another."""

    def __init__(self, size: int, queue: int) -> None:
        self.weights = np.zeros(size, np.float32)
        self.queue: asyncio.Queue[np.ndarray] = asyncio.Queue(queue)
        self.known: set[tuple[int, int]] = set()
        self.stats = Stats()
        self.applying: asyncio.Task[None] | None = None

    async def push(self, worker: int, step: int, gradient: np.ndarray) -> None:
        """Queue a gradient; waits while the queue is full."""
        if (worker, step) in self.known:
            self.stats.again += 1
            return
        self.known.add((worker, step))
        if self.applying is None:
            self.applying = asyncio.get_running_loop().create_task(self._apply())
        self.stats.waited += self.queue.full()
        await self.queue.put(gradient)
        self.stats.longest = max(self.stats.longest, self.queue.qsize())

    async def pull(self) -> np.ndarray:
        """The weights as they are now; the copy keeps a reader from seeing half an update."""
        return self.weights.copy()

    async def steps(self, worker: int) -> set[int]:
        """Steps of `worker` that need not be pushed again."""
        return {step for name, step in self.known if name == worker}

    async def report(self) -> dict[str, int]:
        return asdict(self.stats)

    async def drain(self) -> dict[str, int]:
        """Wait until all that was queued is applied."""
        await self.queue.join()
        return asdict(self.stats)

    async def _apply(self) -> None:
        while True:
            gradient = await self.queue.get()
            self.weights -= gradient
            self.stats.applied += 1
            self.queue.task_done()
            # One at a time, so that pulls and pushes come in between.
            await asyncio.sleep(0)


@dataclass(frozen=True)
class Problem:
    """Linear regression in `size` unknowns by `workers` workers of `steps` gradients each."""

    size: int
    workers: int
    steps: int
    in_flight: int
    rows: int = 64

    def wanted(self) -> np.ndarray:
        """The weights to be found."""
        return np.random.default_rng(17).normal(0, 1, self.size).astype(np.float32)


def work(server: Any, problem: Problem, worker: int) -> int:
    """Push the gradients of one worker; returns how many, without those that an earlier attempt has pushed."""
    wanted = problem.wanted()
    known = ray.get(server.steps.remote(worker))
    unanswered: list[Any] = []
    for step in range(problem.steps):
        if step in known:
            continue
        rows = np.random.default_rng([worker, step]).normal(0, 1, (problem.rows, problem.size)).astype(np.float32)
        error = rows @ (ray.get(server.pull.remote()) - wanted)
        # The step that a random row of this length allows; workers do not wait for each other, so each takes its share.
        gradient = rows.T @ error / (problem.size + problem.rows) / problem.workers
        unanswered.append(server.push.remote(worker, step, gradient))
        while len(unanswered) >= problem.in_flight:
            answered, unanswered = ray.wait(unanswered)
            ray.get(answered)
    ray.get(unanswered)
    return problem.steps - len(known)


def find_or_start(name: str, problem: Problem, queue: int) -> Any:
    """The server called `name`, started if there is none."""
    return (
        ray.remote(ParameterServer)
        .options(
            name=name,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            # Every push of every worker may wait in it, and pulls must still get through.
            max_concurrency=problem.workers * (problem.in_flight + 2) + 8,
        )
        .remote(problem.size, queue)
    )


def check(stats: dict[str, int], problem: Problem, queue: int, left: float) -> None:
    """Raise PayloadError if the server lost or repeated a gradient, its queue overran, or nothing was learned."""
    wanted = problem.workers * problem.steps
    if stats["applied"] != wanted:
        raise PayloadError(f"the parameter server applied {stats['applied']} gradients of {wanted}")
    if stats["longest"] > queue:
        raise PayloadError(f"the parameter server's queue held {stats['longest']} gradients, more than its {queue}")
    if not left < 1:
        raise PayloadError(f"{wanted} gradients left {left:.0%} of the error")
