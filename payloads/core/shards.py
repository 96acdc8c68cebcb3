"""Normalise many .npy shards by tasks: moments of each, one scaler of all, each written anew.

What is in flight is bounded with `ray.wait` (common/tasks.py), and a shard with a receipt is not done again.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from payloads.common import reporting
from payloads.common.receipts import Receipt, Receipts
from payloads.common.storage import Storage
from payloads.common.tasks import Limits, bounded
from payloads.data.scaler import Moments, Scaler


@dataclass(frozen=True)
class Shards:
    """`count` shards of (rows, columns) float32 below `folder`: raw/, normal/ and receipts."""

    storage: Storage
    folder: str
    count: int
    rows: int
    columns: int

    def receipts(self, stage: str) -> Receipts:
        return Receipts(self.storage, f"{self.folder}/_work/{stage}")

    def read(self, kind: str, number: int) -> np.ndarray:
        content = self.storage.read(f"{self.folder}/{kind}/{number:06d}.npy")
        if content is None:
            raise FileNotFoundError(f"shard {number} of {self.folder}/{kind} is gone")
        return np.load(io.BytesIO(content), allow_pickle=False)

    def write(self, kind: str, number: int, values: np.ndarray) -> None:
        buffer = io.BytesIO()
        np.save(buffer, values, allow_pickle=False)
        self.storage.write(f"{self.folder}/{kind}/{number:06d}.npy", buffer.getvalue())


def make(shards: Shards, number: int) -> Receipt:
    """Write a raw shard of made data, of another scale and mean in each column, and leave its moments."""
    random = np.random.default_rng([13, number])
    scales = np.arange(1, shards.columns + 1)
    values = (random.normal(0, 1, (shards.rows, shards.columns)) * scales + scales * 10).astype(np.float32)
    shards.write("raw", number, values)
    moments = Moments.of(values)
    receipt = {"count": moments.count, "mean": moments.mean.tolist(), "squares": moments.squares.tolist()}
    return shards.receipts("make").leave(number, receipt)


def normalise(shards: Shards, scaler: Scaler, number: int) -> Receipt:
    """Write a shard with the mean of all taken off, divided by the deviation of all."""
    shards.write("normal", number, scaler.transform(shards.read("raw", number)))
    return shards.receipts("normalise").leave(number, {"rows": shards.rows})


@dataclass(frozen=True)
class Proof:
    """`done_before` shards were found finished; `most_in_flight` is the largest number of unanswered tasks."""

    scaler: Scaler
    done_before: int
    most_in_flight: int


def run(shards: Shards, limits: Limits) -> Proof:
    """Both passes over all shards, from where an earlier attempt stopped."""
    made, _, _ = _stage(shards, "make", make, (), limits)
    moments = [
        Moments(receipt["count"], np.asarray(receipt["mean"]), np.asarray(receipt["squares"]))
        for _, receipt in sorted(made.items())
    ]
    scaler = Scaler.fit(moments, least_share=0)
    _, before, most = _stage(shards, "normalise", normalise, (scaler,), limits)
    return Proof(scaler, before, most)


def _stage(
    shards: Shards, name: str, function: Callable[..., Receipt], more: tuple[Any, ...], limits: Limits
) -> tuple[dict[int, Receipt], int, int]:
    """Receipts of all shards, how many were there before, and the most tasks that were unanswered at once."""
    receipts = shards.receipts(name).found()
    given = before = len(receipts)
    most = 0

    def left() -> Iterator[int]:
        nonlocal given
        for number in [number for number in range(shards.count) if number not in receipts]:
            given += 1
            yield number

    for number, receipt in bounded(function, left(), (shards, *more), limits):
        most = max(most, given - len(receipts))
        receipts[number] = receipt
    reporting.progress(f"{name}: {shards.count} shards, {before} done before, at most {most} in flight")
    return receipts, before, most
