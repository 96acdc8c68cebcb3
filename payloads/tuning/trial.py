"""One trial: a digits classifier trained with one draw of the hyperparameters, an epoch a report.

A plain Tune function with checkpoints, and not a trainer inside a trial: population based training takes over one
trial's checkpoint by another, which only works where the trial itself reports them.
"""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ray import tune
from torch import nn

from payloads.common import checkpoints, seeds
from payloads.training.batches import Batch, shuffled
from payloads.training.model import Mlp
from payloads.training.steps import evaluate_epoch, train_epoch
from payloads.tuning.settings import TuneSettings
from payloads.tuning.space import DEPTH

GRADIENT_CLIP = 1.0


@dataclass(frozen=True)
class Rows:
    """Standardised rows (float32 [n, features]) and targets (int64 [n]); one copy a node, which all trials read."""

    features: np.ndarray
    targets: np.ndarray

    def to(self, device: torch.device) -> Batch:
        # Ray's object store is read-only and torch has no such arrays, so they are copied to where they are used.
        return torch.tensor(self.features, device=device), torch.tensor(self.targets, device=device)


def network(config: dict[str, Any], features: int, classes: int) -> Mlp:
    """The untrained network of a trial with `config`."""
    return Mlp(features, classes, int(config["hidden"]), DEPTH, float(config["dropout"]))


def trial(config: dict[str, Any], settings: TuneSettings, train: Rows, validation: Rows, classes: int) -> None:
    """Train from the newest checkpoint, or from nothing, to the last epoch; each epoch is reported with a checkpoint.

    A checkpoint may be another member's (pbt): its weights and moments are taken over, learning rate and dropout are
    this trial's own.
    """
    device = torch.device("cuda" if settings.gpus_per_worker else "cpu")
    torch.set_num_threads(max(1, int(settings.cpus_per_worker)))
    seeds.seed_everything(settings.seed)
    name = tune.get_context().get_trial_id()
    model = network(config, train.features.shape[1], classes).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config["lr"], weight_decay=config["weight_decay"])
    found = _restore(model, optimizer)
    done, best = (found["epoch"], found["best"]) if found else (0, None)
    donor = found["trial"] if found and found["trial"] != name else ""
    batch, held_out = train.to(device), validation.to(device)
    for epoch in range(done, settings.epochs):
        started = time.monotonic()
        learning_rate = _learning_rate(config["lr"], epoch, settings)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        batches = shuffled(batch, int(config["batch_size"]), settings.seed, epoch)
        loss = train_epoch(model, optimizer, batches, GRADIENT_CLIP)
        validation_loss, accuracy = evaluate_epoch(model, [held_out])
        if math.isnan(validation_loss):  # not a number is neither better nor worse than any, and would go on for ever
            validation_loss = math.inf
        if best is None or validation_loss < best["validation_loss"]:
            weights = {key: value.detach().clone() for key, value in model.state_dict().items()}
            best = {"model": weights, "config": _plain(config), "epoch": epoch + 1, "validation_loss": validation_loss}
        metrics = {
            "epoch": epoch + 1,
            "loss": loss,
            "validation_loss": validation_loss,
            "best_validation_loss": best["validation_loss"],
            "accuracy": accuracy,
            "learning_rate": learning_rate,
            "dropout": float(config["dropout"]),
            "seconds": time.monotonic() - started,
            # Whose weights these are, in the first report after they were taken over.
            "taken_over": donor,
        }
        donor = ""
        with tempfile.TemporaryDirectory() as folder:
            state = {
                "trial": name,
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "generator": seeds.generator_state(),
                "epoch": epoch + 1,
                "best": best,
            }
            checkpoints.save_state(folder, state)
            tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))


def _restore(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Put the newest checkpoint back and return its state; None if there is none."""
    checkpoint = tune.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        checkpoints.verify(folder)
        state = checkpoints.load_state(folder)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    seeds.restore_generator_state(state["generator"])
    return state


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """NumPy's scalars as Python's: a checkpoint that holds others is not read back without running code from it."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in config.items()}


def _learning_rate(peak: float, epoch: int, settings: TuneSettings) -> float:
    """Cosine to zero over all epochs; constant in a population, which changes it by itself."""
    if settings.search == "pbt":
        return peak
    return peak * 0.5 * (1 + float(np.cos(np.pi * epoch / settings.epochs)))
