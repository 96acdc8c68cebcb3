"""Distributed training of any network by epochs: the driver's part, and the worker's, for loops of all kinds.

Each epoch ends with a report and a checkpoint on S3, and a run that is started again goes on from its newest one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from payloads.common.settings import RunSettings

if TYPE_CHECKING:
    import torch
    from torch import nn

    from payloads.common.storage import Storage
    from payloads.common.tracking import TrackedRun

Train = Callable[["nn.Module", "torch.optim.Optimizer", int], float]
Validate = Callable[["nn.Module"], tuple[float, float]]


class EpochSettings(RunSettings):
    """What every training by epochs says; a worker is a DDP rank."""

    seed: int = Field(default=42, ge=0, lt=2**31, description="seed of weights and batch order")
    epochs: int = Field(default=10, ge=1, le=10_000, description="passes over the rows")
    batch_size: int = Field(default=64, ge=1, description="rows of a step, over all workers")
    lr: float = Field(default=1e-3, gt=0, le=1, description="peak learning rate of AdamW")
    weight_decay: float = Field(default=1e-4, ge=0, le=1, description="weight decay of AdamW")
    max_failures: int = Field(default=3, ge=0, description="worker failures survived; preemptions are not counted")
    checkpoints_kept: int = Field(default=3, ge=1, description="checkpoints kept, best validation loss first")

    @model_validator(mode="after")
    def _every_worker_gets_a_row(self) -> EpochSettings:
        if self.batch_size < self.num_workers:
            raise ValueError(
                f"batch_size {self.batch_size} is less than num_workers {self.num_workers}: a worker idles"
            )
        return self

    @property
    def rows_per_worker(self) -> int:
        """Rows of one step on one worker."""
        return self.batch_size // self.num_workers


def distribute(
    loop: Callable[[dict[str, Any]], None],
    config: dict[str, Any],
    settings: EpochSettings,
    storage: Storage,
    run: TrackedRun,
    key: str,
) -> dict[str, Any]:
    """Run `loop` on the workers that `settings` ask for; the weights of the epoch with the least validation loss.

    `config` goes to the loop, `settings` with it as a dict. Every epoch is in MLflow when it returns. Raises
    PayloadError when training fails for good.
    """
    from payloads.training import fit

    fit.check_room(settings)
    return fit.load_weights(fit.distribute(loop, config, {}, settings, storage, run, key))


def run_epochs(network: nn.Module, settings: EpochSettings, train: Train, validate: Validate) -> None:
    """In a worker: train `network` from its newest whole checkpoint, or from nothing, to the last epoch.

    `train(model, optimizer, epoch)` makes one epoch (from 0) and gives its mean loss; `model` is the network as DDP
    wraps it. `validate(network)` gives loss and accuracy on held-out rows, the same on every rank.
    """
    import ray.train
    import ray.train.torch
    import torch

    from payloads.training.loop import resume
    from payloads.training.state import State

    context = ray.train.get_context()
    model = ray.train.torch.prepare_model(network)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=settings.epochs)
    bare = getattr(model, "module", model)
    state = State(bare, optimizer, schedule, context.get_world_rank(), context.get_world_size())
    resume(state)
    while state.epoch < settings.epochs:
        started = time.monotonic()
        learning_rate = optimizer.param_groups[0]["lr"]
        model.train()
        loss = train(model, optimizer, state.epoch)
        schedule.step()
        bare.eval()
        with torch.inference_mode():
            validation_loss, accuracy = validate(bare)
        metrics = {
            "epoch": state.epoch + 1,
            "epochs": settings.epochs,
            "loss": loss,
            "validation_loss": validation_loss,
            "accuracy": accuracy,
            "learning_rate": learning_rate,
            "seconds": time.monotonic() - started,
        }
        state.history.append(metrics)
        state.report(metrics, f"epoch-{state.epoch:05d}")
