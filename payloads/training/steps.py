"""One epoch: optimizer steps over batches, and the measure of what they reached."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed
from torch import nn

from payloads.training.batches import Batch
from payloads.training.precision import Arithmetic


@dataclass
class Progress:
    """How far this rank is in an epoch: steps done, and the sums of losses and rows so far (float64 of shape (2,))."""

    step: int = 0
    sums: torch.Tensor = field(default_factory=lambda: torch.zeros(2, dtype=torch.float64))


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    gradient_clip: float,
    pieces: int = 1,
    progress: Progress | None = None,
    after_step: Callable[[], None] = lambda: None,
    arithmetic: Arithmetic | None = None,
) -> float:
    """An optimizer step a batch; returns the mean loss of a row over all ranks and the whole epoch.

    Each batch goes through the model in `pieces`, whose gradients add up to those of the whole: a batch may be larger
    than memory holds at once. `progress` is counted up; where it does not start at zero, the epoch was interrupted and
    `batches` are those that are left of it.
    """
    model.train()
    device = next(model.parameters()).device
    arithmetic = arithmetic or Arithmetic()
    progress = progress or Progress()
    progress.sums = progress.sums.to(device)
    for features, targets in batches:
        optimizer.zero_grad()
        for part, wanted, last in _pieces(features, targets, pieces):
            # Ranks exchange gradients once a step, with the last piece.
            with contextlib.nullcontext() if last else _unsynchronised(model):
                with arithmetic.autocast():
                    loss = nn.functional.cross_entropy(model(part), wanted)
                arithmetic.scaler.scale(loss * (len(wanted) / len(targets))).backward()
            progress.sums += torch.stack([loss.detach().double() * len(wanted), loss.new_tensor(len(wanted)).double()])
        arithmetic.step(optimizer, list(model.parameters()), gradient_clip)
        progress.step += 1
        after_step()
    loss_sum, rows = sum_over_ranks(progress.sums).tolist()
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


def sum_over_ranks(values: torch.Tensor) -> torch.Tensor:
    """Sum over all ranks; a single worker has no process group and nothing to sum."""
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(values)
    return values


def _pieces(
    features: torch.Tensor, targets: torch.Tensor, count: int
) -> Iterable[tuple[torch.Tensor, torch.Tensor, bool]]:
    rows = -(-len(targets) // count)
    parts = list(zip(features.split(rows), targets.split(rows), strict=True))
    for index, (part, wanted) in enumerate(parts):
        yield part, wanted, index == len(parts) - 1


def _unsynchronised(model: Any) -> contextlib.AbstractContextManager[None]:
    return model.no_sync() if hasattr(model, "no_sync") else contextlib.nullcontext()
