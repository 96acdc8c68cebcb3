"""Brings reports of the Ray Train controller to the driver as they happen.

Callbacks run in the controller, an actor of its own, whose output Ray decorates and delays. They hand each event to a
small mailbox actor; a thread of the driver reads it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import ray
import ray.train
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from payloads.common.metrics import TrainingMetrics

POLL_S = 2.0
# The last event may still be on its way when the controller has ended.
LAST_S = 1.0
Event = dict[str, Any]


class Mailbox:
    """A queue of events between processes; async, so that a waiting reader does not block a writer."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()

    async def put(self, event: Event) -> None:
        self.events.put_nowait(event)

    async def take(self, wait_s: float) -> list[Event]:
        """All events so far; waits up to `wait_s` for the first."""
        try:
            taken = [await asyncio.wait_for(self.events.get(), wait_s)]
        except TimeoutError:
            return []
        while not self.events.empty():
            taken.append(self.events.get_nowait())
        return taken


class Forward(ray.train.UserCallback):
    """Puts epochs and worker failures into the mailbox without waiting: a slow reader must not slow training."""

    def __init__(self, mailbox: Any) -> None:
        self.mailbox = mailbox

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:  # noqa: ARG002
        self.mailbox.put.remote({"kind": "epoch", "metrics": metrics[0], "checkpoint": checkpoint is not None})

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:  # noqa: ARG002
        for rank, error in worker_exceptions.items():
            cause = getattr(error, "cause", None) or error
            self.mailbox.put.remote({"kind": "failure", "rank": rank, "error": type(cause).__name__})


class Watch:
    """Context manager: `callback` goes into RunConfig, `handle` is called in the driver for each event, in order.

    `epoch` brings the metrics of a report into the form that `payloads.training.loop` reports.
    """

    def __init__(
        self, handle: Callable[[Event], None], epoch: Callable[[Event], Event] = lambda metrics: metrics
    ) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.mailbox = ray.remote(num_cpus=0, scheduling_strategy=here)(Mailbox).remote()
        self.callback = Forward(self.mailbox)
        self.handle = handle
        self.epoch = epoch
        self.metrics = TrainingMetrics()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._follow, name="watch", daemon=True)

    def __enter__(self) -> Watch:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # The controller has ended, so nothing is put any more: one more read empties the mailbox.
        self.stopping.set()
        self.thread.join(timeout=30)

    def _follow(self) -> None:
        while True:
            last = self.stopping.is_set()
            for event in ray.get(self.mailbox.take.remote(LAST_S if last else POLL_S)):
                if event["kind"] == "epoch":
                    event["metrics"] = self.epoch(event["metrics"])
                self.metrics.observe(event)
                self.handle(event)
            self.metrics.repeat()
            if last:
                return
