"""Augmented batches for a training worker: Ray Data streams them from Parquet through actors of this worker.

The plan of every epoch is made from seed and epoch alone, and one stream runs through many epochs: actors start once,
and an epoch's first images are ready when the one before it ends. A worker that comes back gets the batches that the
lost one would have had.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from payloads.common.errors import PayloadError
from payloads.common.storage import Storage
from payloads.images.augment import Recipe, augment, transforms
from payloads.images.dataset import Manifest
from payloads.images.stages import pixels_of

Arrays = tuple[np.ndarray, np.ndarray]
# Row groups whose rows are mixed with each other, beyond the order of the groups being mixed.
MIXED = 4
# Pieces of work of one Ray Data execution, which holds all of them at once.
WINDOW = 4096
# Open files of an actor: of each the footer is kept.
OPEN_FILES = 64


@dataclass(frozen=True)
class Group:
    """A row group of a train file."""

    path: str
    number: int
    rows: int


@dataclass(frozen=True)
class Plan:
    """Which rows each rank has in which epoch, and in which order."""

    groups: tuple[Group, ...]
    seed: int
    world: int

    @classmethod
    def of(cls, manifest: Manifest, seed: int, world: int) -> Plan:
        """Raises PayloadError if there are fewer row groups than ranks."""
        size = manifest.group_rows
        groups = tuple(
            Group(file["path"], number, min(size, file["rows"] - first))
            for file in manifest.files["train"]
            for number, first in enumerate(range(0, file["rows"], size))
        )
        if len(groups) < world:
            raise PayloadError(
                f"{len(groups)} row groups of train images are too few for {world} workers: train with fewer "
                "(num_workers) or prepare more images"
            )
        return cls(groups, seed, world)

    def dealt(self, epoch: int, rank: int) -> list[Group]:
        """The rank's groups, in order; each group is with exactly one rank."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.groups))
        return [self.groups[place] for place in order[rank :: self.world]]

    def rows(self, epoch: int) -> int:
        """Rows that every rank trains on: as many as the rank with the fewest has, so that all take equal steps.

        What another has more, less than a group as a rule, is left out of this epoch and not of the next.
        """
        return min(sum(group.rows for group in self.dealt(epoch, rank)) for rank in range(self.world))


class Augmenter:
    """One actor: row groups in, augmented images out."""

    def __init__(self, storage: Storage, recipe: Recipe, shape: tuple[int, ...]) -> None:
        torch.set_num_threads(1)
        self.storage = storage
        self.shape = shape
        self.seed = recipe.seed
        self.change = transforms(recipe, shape[0])
        self.open = lru_cache(OPEN_FILES)(self._open)

    def __call__(self, items: pa.Table) -> Iterator[dict[str, np.ndarray]]:
        """For each of `items` (column work: epoch and groups as JSON) their rows, mixed and augmented."""
        for text in items["work"].to_pylist():
            work = json.loads(text)
            groups = [Group(*group) for group in work["groups"]]
            table = pa.concat_tables([self.open(group.path).read_row_group(group.number) for group in groups])
            mix = np.random.default_rng([self.seed, work["epoch"], work["number"]]).permutation(table.num_rows)
            table = table.take(pa.array(mix))
            pixels, ids = pixels_of(table, self.shape), table["id"].to_numpy()
            yield {
                "pixels": augment(self.change, pixels, ids, work["epoch"], self.seed),
                "target": table["target"].to_numpy(),
            }

    def _open(self, path: str) -> pq.ParquetFile:
        return pq.ParquetFile(self.storage.filesystem.open_input_file(self.storage.path(path)), pre_buffer=True)


@dataclass(frozen=True)
class Stream:
    """What a rank needs for its stream of epochs, up to `epochs`; `actors` of `cpus` each augment for it."""

    storage: Storage
    plan: Plan
    rank: int
    epochs: int
    recipe: Recipe
    shape: tuple[int, ...]
    actors: int
    cpus: float

    def arrays(self, epoch: int) -> Iterator[Arrays]:
        """The rank's rows from `epoch` to the last, in pieces of any size."""
        window: list[dict[str, str]] = []
        for each in range(epoch, self.epochs):
            window += self.work(each)
            if len(window) >= WINDOW or each == self.epochs - 1:
                yield from self._run(window)
                window = []

    def work(self, epoch: int) -> list[dict[str, str]]:
        """The pieces of work of an epoch."""
        mine = self.plan.dealt(epoch, self.rank)
        parts = [mine[first : first + MIXED] for first in range(0, len(mine), MIXED)]
        return [
            {"work": json.dumps(_piece(epoch, number * self.plan.world + self.rank, groups))}
            for number, groups in enumerate(parts)
        ]

    def _run(self, window: list[dict[str, str]]) -> Iterator[Arrays]:
        import ray.data
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        blocks = ray.data.from_items(window, override_num_blocks=len(window)).map_batches(
            Augmenter,
            batch_size=1,
            batch_format="pyarrow",
            fn_constructor_args=(self.storage, self.recipe, self.shape),
            compute=ActorPoolStrategy(size=self.actors),
            num_cpus=self.cpus,
        )
        for block in blocks.iter_batches(batch_size=None, batch_format="numpy"):
            yield block["pixels"], block["target"]


class Epochs:
    """The stream cut into epochs and batches: (float32 (rows, channels, height, width), int64) on `device`."""

    def __init__(self, stream: Stream, rows: int, device: torch.device) -> None:
        self.stream = stream
        self.rows = rows
        self.device = device
        self.cutter: Cutter | None = None

    def epoch(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of `rows` rows, the last may be smaller. Epochs are asked for in their order, each to its end."""
        if self.cutter is None:
            self.cutter = Cutter(self.stream.arrays(epoch))
        mine = sum(group.rows for group in self.stream.plan.dealt(epoch, self.stream.rank))
        used = self.stream.plan.rows(epoch)
        for first in range(0, used, self.rows):
            pixels, targets = self.cutter.take(min(self.rows, used - first))
            yield torch.tensor(pixels, device=self.device).float(), torch.tensor(targets, device=self.device)
        self.cutter.take(mine - used)


class Cutter:
    """Takes any number of rows at a time from pieces of any size."""

    def __init__(self, arrays: Iterator[Arrays]) -> None:
        self.arrays = arrays
        self.rest: list[Arrays] = []

    def take(self, rows: int) -> Arrays:
        """The next `rows` rows. Raises StopIteration if there are not so many."""
        have = sum(len(targets) for _, targets in self.rest)
        while have < rows or not self.rest:
            self.rest.append(next(self.arrays))
            have += len(self.rest[-1][1])
        pixels, targets = (np.concatenate(each) for each in zip(*self.rest, strict=True))
        self.rest = [(pixels[rows:], targets[rows:])]
        return pixels[:rows], targets[:rows]


def _piece(epoch: int, number: int, groups: list[Group]) -> dict[str, Any]:
    return {"epoch": epoch, "number": number, "groups": [[group.path, group.number, group.rows] for group in groups]}
