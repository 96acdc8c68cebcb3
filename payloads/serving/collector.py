"""Hands requests to `@serve.batch` in groups instead of one by one.

`@serve.batch` wakes its queue, starts a timer and sets a gauge for every item. Requests whose bytes arrive in one turn
of the event loop are therefore put in as one item; the batch limits still count rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np

from payloads.serving.model import Predictions

Infer = Callable[[np.ndarray], Awaitable[Predictions]]


class Collector:
    """`submit` rows, get their predictions. `infer` is the batched call; it gets at most `max_rows` rows at once."""

    def __init__(self, infer: Infer, max_rows: int) -> None:
        self.infer = infer
        self.max_rows = max_rows
        self.waiting: list[tuple[np.ndarray, asyncio.Future[Predictions]]] = []
        self.rows = 0
        # asyncio keeps only weak references to tasks: without this one could vanish in mid-flight.
        self.tasks: set[asyncio.Task[None]] = set()

    async def submit(self, rows: np.ndarray) -> Predictions:
        """Predictions of `rows`, in order, however many batches they take."""
        if len(rows) > self.max_rows:
            parts = [rows[start : start + self.max_rows] for start in range(0, len(rows), self.max_rows)]
            answers = await asyncio.gather(*(self.submit(part) for part in parts))
            return Predictions(
                [label for answer in answers for label in answer.classes],
                [confidence for answer in answers for confidence in answer.confidences],
            )
        loop = asyncio.get_running_loop()
        if self.rows + len(rows) > self.max_rows:
            self._flush()
        if not self.waiting:
            loop.call_soon(self._flush)
        future: asyncio.Future[Predictions] = loop.create_future()
        self.waiting.append((rows, future))
        self.rows += len(rows)
        return await future

    def _flush(self) -> None:
        if not self.waiting:
            return
        group, self.waiting, self.rows = self.waiting, [], 0
        task = asyncio.get_running_loop().create_task(self._run(group))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _run(self, group: list[tuple[np.ndarray, asyncio.Future[Predictions]]]) -> None:
        try:
            answer = await self.infer(np.concatenate([rows for rows, _ in group]))
        except Exception as error:  # it belongs to the requests that wait, not to this task
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        start = 0
        for rows, future in group:
            end = start + len(rows)
            if not future.done():  # a client that went away has cancelled its own
                future.set_result(Predictions(answer.classes[start:end], answer.confidences[start:end]))
            start = end
