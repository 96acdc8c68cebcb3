"""What a training by Lightning does around its epochs: order and chance, history, reports, whole checkpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.plugins.io import TorchCheckpointIO
from ray.train.lightning import RayTrainReportCallback

from payloads.common import checkpoints, seeds
from payloads.training.batches import Batch, shuffled


class Rows:
    """Batches of a worker's rows, in an order that depends on seed and epoch only."""

    def __init__(self, batch: Batch, rows: int, seed: int, trainer: pl.Trainer) -> None:
        self.batch = batch
        self.rows = rows
        self.seed = seed
        self.trainer = trainer

    def __len__(self) -> int:
        return -(-len(self.batch[1]) // self.rows)

    def __iter__(self) -> Iterator[Batch]:
        yield from shuffled(self.batch, self.rows, self.seed, self.trainer.current_epoch)


class Whole:
    """A worker's rows as the one batch of an epoch; Lightning takes a list for several loaders."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Batch]:
        yield self.batch


class Epochs(pl.Callback):
    """Seeds each epoch by itself, so that a resumed one draws what the lost one drew, and keeps the epochs' metrics.

    Must come before the callback that saves: `history` is part of the checkpoint.
    """

    def __init__(self, seed: int, epochs: int) -> None:
        self.seed = seed
        self.epochs = epochs
        self.history: list[dict[str, float]] = []
        self.started = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        seeds.seed_everything((self.seed + trainer.global_rank + 100_003 * (trainer.current_epoch + 1)) % 2**31)
        self.started = time.monotonic()
        pl_module.log("learning_rate", trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.log("seconds", time.monotonic() - self.started)
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.history.append({**metrics, "epoch": trainer.current_epoch + 1, "epochs": self.epochs})

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        self.history = checkpoint["history"]


class Report(RayTrainReportCallback):
    """Ray's callback: a report and a checkpoint after each epoch, under the name that all training here looks for."""

    CHECKPOINT_NAME = checkpoints.STATE_FILE


class SignedFiles(TorchCheckpointIO):
    """Puts the digest of a checkpoint beside it: one that is damaged later is passed over."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        super().save_checkpoint(checkpoint, path, storage_options)
        checkpoints.sign(Path(path))
