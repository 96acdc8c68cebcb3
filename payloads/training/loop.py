"""What each training worker runs: DDP epochs, each ended by a report and a checkpoint on S3."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import ray.train
import ray.train.collective
import ray.train.torch
import torch
from torch import nn

from payloads.common import seeds
from payloads.training.batches import Batch, Batches, gather, strided
from payloads.training.compiling import compile_in_place
from payloads.training.model import Mlp
from payloads.training.precision import Arithmetic
from payloads.training.settings import FitSettings, LoopSettings, TrainSettings
from payloads.training.state import State, newest_whole
from payloads.training.steps import Progress, evaluate_epoch, train_epoch


@dataclass(frozen=True)
class Feed:
    """What a worker learns from and is measured on.

    `epoch` gives the batches of an epoch (from 0), in an order that depends on seed and epoch only; epochs are asked
    for one after the other. `held_out` gives this rank's share of the validation rows.
    """

    epoch: Callable[[int], Iterator[Batch]]
    held_out: Callable[[], Iterable[Batch]]


def train_loop(config: dict[str, Any]) -> None:
    """`run_epochs` with the digits classifier.

    `config`: settings (TrainSettings as a dict), features (number of inputs), classes (number of outputs).
    """
    settings = TrainSettings.model_validate(config["settings"])

    def network() -> Mlp:
        return Mlp(config["features"], config["classes"], settings.hidden, settings.depth, settings.dropout)

    def feed(device: torch.device, rank: int, world: int) -> Feed:
        shard = ray.train.get_dataset_shard("train")
        batches = Batches(shard, settings.rows_per_worker, settings.seed, device, settings.cache_shard)
        return Feed(batches.epoch, validation(device, rank, world, settings.cache_shard))

    run_epochs(settings, network, feed)


def run_epochs(
    settings: LoopSettings, network: Callable[[], nn.Module], feed: Callable[[torch.device, int, int], Feed]
) -> None:
    """Train from the newest whole checkpoint, or from nothing, to the last epoch or until it no longer gets better.

    `network` builds what is trained, a module of batches -> logits; `feed(device, rank, world)` is called once, if
    there is anything left to train.
    Reports after each epoch: epoch (from 1), epochs, loss, validation_loss, accuracy, learning_rate, seconds; and on a
    notice that a node goes away: epoch, epochs, step and an infinite validation_loss, as it is nobody's best.
    """
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    device = ray.train.torch.get_device()
    # Ranks start from one set of weights (DDP broadcasts rank 0's) and drop out different units.
    seeds.seed_everything(settings.seed + rank)
    if settings.deterministic:
        seeds.only_repeatable_kernels()
    built = network()
    if settings.compile:
        compile_in_place(built)
    model = ray.train.torch.prepare_model(built)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=settings.epochs)
    state = State(getattr(model, "module", model), optimizer, schedule, rank, world)
    state.arithmetic = Arithmetic(settings.precision, device.type)
    resume(state)
    if finished(state.history, settings):
        return

    rows = feed(device, rank, world)
    notice = Notice(state, settings)
    while not finished(state.history, settings):
        started = time.monotonic()
        learning_rate = optimizer.param_groups[0]["lr"]
        left = itertools.islice(rows.epoch(state.epoch), state.progress.step, None)
        loss = train_epoch(
            model,
            optimizer,
            left,
            settings.gradient_clip,
            settings.pieces,
            state.progress,
            notice.after_step,
            state.arithmetic,
        )
        schedule.step()
        validation_loss, accuracy = evaluate_epoch(state.network, rows.held_out())
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
        state.progress = Progress()
        state.report(metrics, f"epoch-{state.epoch:05d}")


def resume(state: State) -> None:
    """Put `state` back to the newest whole checkpoint, if there is one; every rank must come here."""
    if ray.train.get_checkpoint() is None:
        return
    checkpoint, damaged = newest_whole(state.rank)
    if checkpoint is not None:
        state.restore(checkpoint)
    if damaged:
        state.note = f"{damaged} damaged checkpoints were passed over, training goes on after epoch {state.epoch}"
    start = uuid.uuid4().hex[:8] if state.rank == 0 else None
    state.suffix = f"-{ray.train.collective.broadcast_from_rank_zero(start)}"


def finished(history: list[dict[str, float]], settings: FitSettings) -> bool:
    """Whether the last epoch is done, or `patience` epochs have gone by without a better validation loss."""
    if len(history) >= settings.epochs:
        return True
    losses = [metrics["validation_loss"] for metrics in history]
    return 0 < settings.patience <= len(losses) - 1 - losses.index(min(losses)) if losses else False


class Notice:
    """Looks, every few steps, whether a node is about to go away, and then saves at once and at every later look.

    All ranks look after the same steps: the look is a barrier, and so is the report.
    """

    def __init__(self, state: State, settings: LoopSettings) -> None:
        self.state = state
        self.settings = settings

    def after_step(self) -> None:
        every, step = self.settings.drain_check_steps, self.state.progress.step
        if not every or step % every or ray.train.get_preemption_info() is None:
            return
        metrics = {
            "epoch": self.state.epoch + 1,
            "epochs": self.settings.epochs,
            "step": step,
            "validation_loss": float("inf"),
        }
        self.state.report(metrics, f"epoch-{self.state.epoch + 1:05d}-step-{step:06d}")


def validation(device: torch.device, rank: int, world: int, cached: bool) -> Callable[[], Iterable[Batch]]:
    """This rank's share of the data set `validation`, which is not split; `cached` keeps it in memory."""
    shard = ray.train.get_dataset_shard("validation")
    if not cached:
        return lambda: strided(shard, device, rank, world)
    features, targets = gather(shard, device)
    mine = [(features[rank::world], targets[rank::world])]
    return lambda: mine
