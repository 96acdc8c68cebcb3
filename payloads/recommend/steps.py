"""One epoch of the recommender, and the measure of what it reached; no Ray here."""

from __future__ import annotations

import numpy as np
import torch

from payloads.recommend.dataset import Interactions
from payloads.recommend.model import Ranker, Recommender, Towers
from payloads.training.batches import shuffled
from payloads.training.steps import sum_over_ranks


def build(data: Interactions, dim: int, rank_dim: int) -> Recommender:
    """An untrained recommender of this data's size."""
    categories, prices = torch.from_numpy(data.categories.copy()), torch.from_numpy(data.prices.copy())
    counts = torch.from_numpy(data.counts()).float() + 1.0
    towers = Towers(len(data.users), categories, prices, dim)
    return Recommender(Ranker(towers, rank_dim), (counts / counts.sum()).log())


def train_epoch(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    rows: torch.Tensor,
    items: int,
    batch: int,
    negatives: int,
    seed: int,
    epoch: int,
) -> float:
    """A step for each `batch` of `rows` (int64 [n, 2], this rank's); the mean loss of all ranks.

    The order and the drawn negatives depend on seed and epoch alone.
    """
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    sums = torch.zeros(2, dtype=torch.float64, device=rows.device)
    for users, wanted in shuffled((rows[:, 0], rows[:, 1]), batch, seed, epoch):
        drawn = torch.randint(items, (negatives,), generator=generator).to(rows.device)
        optimizer.zero_grad()
        loss = model(users, wanted, drawn)
        loss.backward()
        optimizer.step()
        sums += torch.stack([loss.detach().double() * len(users), loss.new_tensor(len(users)).double()])
    total, count = sum_over_ranks(sums).tolist()
    return total / count


@torch.inference_mode()
def validate(network: Recommender, rows: torch.Tensor, items: int, negatives: int) -> tuple[float, float]:
    """Mean loss of the ranker on held-out `rows`, and how often it puts the item before all drawn ones.

    The same items are drawn every time, so that epochs are comparable.
    """
    drawn = torch.randint(items, (negatives,), generator=torch.Generator().manual_seed(0)).to(rows.device)
    losses, hits = 0.0, 0
    for part in rows.split(4096):
        loss, logits = network.ranking_logits_loss(part[:, 0], part[:, 1], drawn)
        losses += float(loss + network.retrieval_loss(part[:, 0], part[:, 1])) * len(part)
        hits += int((logits[:, :1] > logits[:, 1:]).all(dim=1).sum())
    return losses / len(rows), hits / len(rows)


@torch.inference_mode()
def vectors(towers: Towers) -> tuple[np.ndarray, np.ndarray]:
    """All users' and all items' vectors, float32 [users, dim + 1] and [items, dim + 1]."""
    users, items = towers.user.num_embeddings, towers.item.num_embeddings
    return towers.user_vectors(torch.arange(users)).numpy(), towers.item_vectors(torch.arange(items)).numpy()
