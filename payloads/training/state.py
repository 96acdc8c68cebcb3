"""The state of a training: what a checkpoint holds, written and put back.

A checkpoint is taken after each epoch, and between two steps when a node is about to go away.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ray.train
import ray.train.collective
import torch
from torch import nn

from payloads.common import checkpoints, seeds
from payloads.training.precision import Arithmetic
from payloads.training.steps import Progress


@dataclass
class State:
    """Everything that a resumed worker needs to go on as if nothing had happened.

    `history` are the metrics of the epochs that have ended, `progress` is how far the one after them is. `suffix` tells
    the checkpoints of one start from those of another: Ray takes two of one name for one. `note` goes to the driver
    with the next report.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    rank: int
    world: int
    history: list[dict[str, float]] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)
    suffix: str = ""
    note: str = ""
    arithmetic: Arithmetic = field(default_factory=Arithmetic)

    @property
    def epoch(self) -> int:
        """The epoch that is under way, from 0."""
        return len(self.history)

    def report(self, metrics: dict[str, Any], name: str) -> None:
        """Report with a checkpoint; every rank must come here equally often."""
        with tempfile.TemporaryDirectory() as folder:
            own = {
                "generators": seeds.generator_state(),
                "world": self.world,
                "step": self.progress.step,
                "sums": self.progress.sums.cpu(),
            }
            checkpoints.save_rank_state(folder, self.rank, own)
            if self.rank == 0:
                state = {
                    "model": self.network.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "schedule": self.schedule.state_dict(),
                    "scaler": self.arithmetic.scaler.state_dict(),
                    "history": self.history,
                }
                checkpoints.save_state(folder, state)
            ray.train.report(
                {**metrics, "note": self.note},
                checkpoint=ray.train.Checkpoint.from_directory(folder),
                checkpoint_dir_name=f"{name}{self.suffix}",
            )
        self.note = ""

    def restore(self, checkpoint: ray.train.Checkpoint) -> None:
        """Put everything back as it was when the checkpoint was taken.

        An interrupted epoch goes on at its step, unless there are more or fewer workers now: each has other rows then,
        and the epoch is begun anew with the weights as they are.
        """
        with checkpoint.as_directory() as folder:
            state = checkpoints.load_state(folder)
            own = checkpoints.load_rank_state(folder, self.rank)
        self.network.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.arithmetic.scaler.load_state_dict(state["scaler"])
        self.history = state["history"]
        if own is not None and own["world"] == self.world:
            seeds.restore_generator_state(own["generators"])
            self.progress = Progress(own["step"], own["sums"])


def newest_whole(rank: int) -> tuple[ray.train.Checkpoint | None, int]:
    """The newest checkpoint that reads back as it was written, the same for all ranks, and how many were passed over.

    None if there is no such checkpoint. The epochs behind one that is passed over are trained again. Every rank must
    come here.
    """
    newest = ray.train.get_checkpoint()
    if newest is None or _agreed(rank, lambda: is_whole(newest)):
        return newest, 0
    reported = ray.train.get_all_reported_checkpoints(ray.train.CheckpointConsistencyMode.COMMITTED)
    reported = sorted(reported, key=lambda each: newest_first(each.metrics))
    older = [each.checkpoint for each in reported if each.checkpoint.path != newest.path]
    chosen = _agreed(rank, lambda: next((place for place, entry in enumerate(older) if is_whole(entry)), len(older)))
    return (older[chosen] if chosen < len(older) else None), chosen + 1


def _agreed(rank: int, decide: Callable[[], int]) -> int:
    return ray.train.collective.broadcast_from_rank_zero(int(decide()) if rank == 0 else None)


def is_whole(checkpoint: ray.train.Checkpoint) -> bool:
    """Whether a checkpoint reads back as it was written; storage that is away is waited for, it is no damage."""
    try:
        with checkpoint.as_directory() as folder:
            checkpoints.verify(folder)
    except (checkpoints.DamagedError, FileNotFoundError):
        return False
    return True


def newest_first(metrics: dict[str, Any]) -> tuple[float, float]:
    """Sorts checkpoints by their metrics: an epoch's end comes before a moment within it."""
    return -metrics["epoch"], -metrics.get("step", float("inf"))
