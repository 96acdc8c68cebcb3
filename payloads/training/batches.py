"""Batches of a worker's shard, in an order that depends on seed and epoch only.

A resumed epoch therefore sees the batches that the lost one would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from ray.data import DataIterator

Batch = tuple[torch.Tensor, torch.Tensor]
COLUMNS = ("features", "target")
READ_ROWS = 1024


class Batches:
    """A shard's rows as (features float32 [rows, n], targets int64 [rows]) on `device`.

    `cached` reads the shard once and keeps it; otherwise every epoch streams it with a shuffle buffer.
    """

    def __init__(self, shard: DataIterator, rows: int, seed: int, device: torch.device, cached: bool) -> None:
        self.shard = shard
        self.rows = rows
        self.seed = seed
        self.device = device
        self.cache = gather(shard, device) if cached else None

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Shuffled batches of one epoch; the last one may be smaller."""
        if self.cache is None:
            yield from _stream(self.shard, self.rows, self.device, shuffle_seed=self.seed + epoch)
            return
        yield from shuffled(self.cache, self.rows, self.seed, epoch)


def shuffled(batch: Batch, rows: int, seed: int, epoch: int) -> Iterator[Batch]:
    """`batch` in pieces of `rows`, in an order of its own for each seed and epoch; the last may be smaller."""
    features, targets = batch
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    order = torch.randperm(len(targets), generator=generator).to(targets.device)
    for chosen in order.split(rows):
        yield features[chosen], targets[chosen]


def gather(shard: DataIterator, device: torch.device) -> Batch:
    """All rows of a shard, in its order."""
    parts = list(_stream(shard, READ_ROWS, device))
    return torch.cat([features for features, _ in parts]), torch.cat([targets for _, targets in parts])


def strided(shard: DataIterator, device: torch.device, rank: int, world: int) -> Iterator[Batch]:
    """Every `world`-th row of an unsplit data set, from `rank` on: each row is seen by exactly one rank."""
    seen = 0
    for features, targets in _stream(shard, READ_ROWS, device):
        first = (rank - seen) % world
        yield features[first::world], targets[first::world]
        seen += len(targets)


def _stream(shard: DataIterator, rows: int, device: torch.device, shuffle_seed: int | None = None) -> Iterator[Batch]:
    shuffle = (
        {}
        if shuffle_seed is None
        else {
            "local_shuffle_buffer_size": 32 * rows,
            "local_shuffle_seed": shuffle_seed,
        }
    )
    for batch in shard.iter_torch_batches(
        batch_size=rows, dtypes={"features": torch.float32, "target": torch.int64}, device=device, **shuffle
    ):
        yield batch["features"], batch["target"]
