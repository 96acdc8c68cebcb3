"""The training of one model, as a Ray task runs it.

Every batch is made from the seed, the epoch and its number. So a run that is started again after its last checkpoint
ends with the weights that it would have had without the interruption.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from payloads.common.storage import Storage
from payloads.vision.scenes import Glyphs, compose
from payloads.vision.settings import VisionSettings
from payloads.vision.tasks import TASKS, Batch, Task

# Scenes for training and for the test differ in handwriting, and in their seeds.
TRAIN_SCENES, TEST_SCENES = 0, 1
WARM_UP = 0.1


@dataclass(frozen=True)
class Fitted:
    """`weights` of the last epoch on the CPU; `losses` is the mean loss of each epoch; `resumed` how many of them an
    earlier attempt had done."""

    weights: dict[str, torch.Tensor]
    losses: list[float]
    resumed: int


def fit(storage: Storage, folder: str, settings: VisionSettings, source: Glyphs, name: str) -> Fitted:
    """Train the model `name` to its last epoch, with a checkpoint after each in `folder`."""
    task = TASKS[name]
    device = torch.device("cuda" if settings.gpus_per_worker and torch.cuda.is_available() else "cpu")
    torch.set_num_threads(max(1, int(settings.cpus_per_worker)))
    torch.manual_seed(settings.seed)
    network = _network(settings, name).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=1e-4)
    size = max(1, round(settings.batch_size * task.scenes))
    steps = max(1, settings.scenes // size)
    losses = _restore(storage, f"{folder}/{name}.pt", network, optimizer, device)
    resumed = len(losses)
    for epoch in range(resumed, settings.epochs):
        network.train()
        total = 0.0
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = settings.lr * _share((epoch * steps + step) / (settings.epochs * steps))
            made = _batch(settings.seed, source, task, size, epoch * steps + step)
            inputs, *targets = (tensor.to(device) for tensor in made)
            loss = task.loss(network(inputs), *targets)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            total += loss.item()
        losses.append(total / steps)
        _keep(storage, f"{folder}/{name}.pt", network, optimizer, losses)
    return Fitted({key: value.cpu() for key, value in network.state_dict().items()}, losses, resumed)


def rebuilt(settings: VisionSettings, name: str, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The model of `weights`, in evaluation mode on the CPU."""
    network = _network(settings, name)
    network.load_state_dict(weights)
    return network.eval()


def _network(settings: VisionSettings, name: str) -> torch.nn.Module:
    return TASKS[name].network(settings.detector_width if name == "detector" else settings.reader_width)


def _batch(seed: int, source: Glyphs, task: Task, size: int, number: int) -> Batch:
    scenes = [compose(source, (seed, TRAIN_SCENES, number * size + index), task.least) for index in range(size)]
    return task.batch(scenes, np.random.default_rng((seed, number)))


def _share(done: float) -> float:
    """Share of the peak learning rate: up over the first tenth, then down along a cosine."""
    if done < WARM_UP:
        return max(done / WARM_UP, 0.01)
    return float(0.5 + 0.5 * np.cos(np.pi * (done - WARM_UP) / (1 - WARM_UP)))


def _keep(
    storage: Storage, path: str, network: torch.nn.Module, optimizer: torch.optim.Optimizer, losses: list[float]
) -> None:
    buffer = io.BytesIO()
    torch.save({"model": network.state_dict(), "optimizer": optimizer.state_dict(), "losses": losses}, buffer)
    storage.write(path, buffer.getvalue())


def _restore(
    storage: Storage, path: str, network: torch.nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> list[float]:
    """Losses of the epochs that are done; none where there is no checkpoint or it cannot be read: what it holds is a
    minute's work, and is done again."""
    content = storage.read(path)
    if content is None:
        return []
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        losses = list(state["losses"])
        optimizer.load_state_dict(state["optimizer"])
        network.load_state_dict(state["model"])
    except (pickle.UnpicklingError, RuntimeError, KeyError, EOFError, ValueError, OSError):
        return []
    return losses
