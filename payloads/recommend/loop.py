"""What each worker of a recommender's training runs."""

from __future__ import annotations

from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
from torch import nn

from payloads.common import seeds
from payloads.recommend import steps
from payloads.recommend.settings import RecommendSettings
from payloads.training import epochs


def train_loop(config: dict[str, Any]) -> None:
    """`config`: settings (RecommendSettings as a dict) and data, a reference to dataset.Interactions.

    All workers of a node read the one copy that is in its object store.
    """
    settings = RecommendSettings.model_validate(config["settings"])
    data = ray.get(config["data"])
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    device = ray.train.torch.get_device()
    seeds.seed_everything(settings.seed)
    network = steps.build(data, settings.dim, settings.rank_dim)
    # Equally many for every rank: a rank with a step more would wait for the others for ever.
    rows = torch.from_numpy(data.train[rank::world][: len(data.train) // world].copy()).to(device)
    held_out = torch.from_numpy(data.validation.copy()).to(device)

    def train(model: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> float:
        return steps.train_epoch(
            model, optimizer, rows, len(data.items), settings.rows_per_worker, settings.negatives, settings.seed, epoch
        )

    def validate(bare: nn.Module) -> tuple[float, float]:
        return steps.validate(bare, held_out, len(data.items), settings.negatives)  # type: ignore[arg-type]

    epochs.run_epochs(network, settings, train, validate)
