"""What each training worker runs: DDP epochs, each ended by a report and a checkpoint on S3."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from typing import Any

import ray.train
import ray.train.torch
import torch
import torch.distributed
from torch import nn

from payloads.common import checkpoints, seeds
from payloads.training.batches import Batch, Batches, gather, strided
from payloads.training.model import Mlp
from payloads.training.settings import TrainSettings


def train_loop(config: dict[str, Any]) -> None:
    """Train from the newest checkpoint, or from nothing, to the last epoch.

    `config`: settings (TrainSettings as a dict), features (number of inputs), classes (number of outputs).
    Reports after each epoch: epoch (from 1), epochs, loss, validation_loss, accuracy, learning_rate, seconds.
    """
    settings = TrainSettings.model_validate(config["settings"])
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    device = ray.train.torch.get_device()
    # Ranks start from one set of weights (DDP broadcasts rank 0's) and drop out different units.
    seeds.seed_everything(settings.seed + rank)
    model = ray.train.torch.prepare_model(
        Mlp(config["features"], config["classes"], settings.hidden, settings.depth, settings.dropout)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=settings.epochs)
    network = getattr(model, "module", model)
    history: list[dict[str, float]] = []
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        history = restore(checkpoint, network, optimizer, schedule, rank)
    if len(history) >= settings.epochs:
        return

    batches = Batches(
        ray.train.get_dataset_shard("train"), settings.rows_per_worker, settings.seed, device, settings.cache_shard
    )
    validation_shard = ray.train.get_dataset_shard("validation")
    validation = gather_mine(validation_shard, device, rank, world) if settings.cache_shard else None
    for epoch in range(len(history), settings.epochs):
        started = time.monotonic()
        learning_rate = optimizer.param_groups[0]["lr"]
        loss = train_epoch(model, optimizer, batches.epoch(epoch), settings.gradient_clip)
        schedule.step()
        held_out = [validation] if validation else strided(validation_shard, device, rank, world)
        validation_loss, accuracy = evaluate_epoch(network, held_out)
        metrics = {
            "epoch": epoch + 1,
            "epochs": settings.epochs,
            "loss": loss,
            "validation_loss": validation_loss,
            "accuracy": accuracy,
            "learning_rate": learning_rate,
            "seconds": time.monotonic() - started,
        }
        history.append(metrics)
        with tempfile.TemporaryDirectory() as folder:
            checkpoints.save_rank_state(folder, rank, seeds.generator_state())
            if rank == 0:
                state = {
                    "model": network.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(),
                    "history": history,
                }
                checkpoints.save_state(folder, state)
            ray.train.report(
                metrics,
                checkpoint=ray.train.Checkpoint.from_directory(folder),
                checkpoint_dir_name=f"epoch-{epoch + 1:05d}",
            )


def restore(
    checkpoint: ray.train.Checkpoint,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    rank: int,
) -> list[dict[str, float]]:
    """Put everything back as it was at the end of the checkpoint's epoch; returns the epochs' metrics so far."""
    with checkpoint.as_directory() as folder:
        state = checkpoints.load_state(folder)
        own = checkpoints.load_rank_state(folder, rank)
    network.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    if own is not None:
        seeds.restore_generator_state(own)
    return state["history"]


def train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterable[Batch], gradient_clip: float
) -> float:
    """One pass with an optimizer step a batch; returns the mean loss of a row over all ranks."""
    model.train()
    device = next(model.parameters()).device
    total = torch.zeros(2, dtype=torch.float64, device=device)
    for features, targets in batches:
        loss = nn.functional.cross_entropy(model(features), targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), gradient_clip)
        optimizer.step()
        total += torch.stack([loss.detach().double() * len(targets), loss.new_tensor(len(targets)).double()])
    loss_sum, rows = sum_over_ranks(total).tolist()
    return loss_sum / rows


@torch.inference_mode()
def evaluate_epoch(network: nn.Module, batches: Iterable[Batch]) -> tuple[float, float]:
    """Mean loss and accuracy over the rows of all ranks."""
    network.eval()
    device = next(network.parameters()).device
    total = torch.zeros(3, dtype=torch.float64, device=device)
    for features, targets in batches:
        logits = network(features)
        loss = nn.functional.cross_entropy(logits, targets, reduction="sum")
        correct = (logits.argmax(dim=1) == targets).sum()
        total += torch.stack([loss.double(), correct.double(), loss.new_tensor(len(targets)).double()])
    loss_sum, correct_sum, rows = sum_over_ranks(total).tolist()
    return loss_sum / rows, correct_sum / rows


def gather_mine(shard: ray.data.DataIterator, device: torch.device, rank: int, world: int) -> Batch:
    """This rank's share of an unsplit data set."""
    features, targets = gather(shard, device)
    return features[rank::world], targets[rank::world]


def sum_over_ranks(values: torch.Tensor) -> torch.Tensor:
    """Sum over all ranks; a single worker has no process group and nothing to sum."""
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(values)
    return values
