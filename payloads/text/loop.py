"""What each worker of the summariser's training runs."""

from __future__ import annotations

import random
from typing import Any

import ray.train
import ray.train.torch
import torch
from torch import nn

from payloads.common import seeds
from payloads.text import network
from payloads.text.notes import Note, notes
from payloads.text.settings import TextSettings
from payloads.training import epochs
from payloads.training.steps import sum_over_ranks


def build(settings: TextSettings) -> tuple[Any, Any]:
    """The untrained model and its tokenizer, the same wherever they are made."""
    seeds.seed_everything(settings.seed)
    learned = notes(settings.data_seed, 0, min(settings.notes, 2000))
    tokenizer = network.make_tokenizer(
        (text for each in learned for text in (each.text, each.summary)), settings.tokens
    )
    return network.make_model(tokenizer, settings.width, settings.layers), tokenizer


def train_loop(config: dict[str, Any]) -> None:
    """`config`: settings (TextSettings as a dict)."""
    settings = TextSettings.model_validate(config["settings"])
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    device = ray.train.torch.get_device()
    model, tokenizer = build(settings)
    every = notes(settings.data_seed, 0, settings.notes)
    # Equally many for every rank: a rank with a step more would wait for the others for ever.
    mine = every[rank::world][: len(every) // world]
    held_out = notes(settings.data_seed, settings.notes, settings.validation_notes)

    def train(wrapped: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> float:
        return train_epoch(
            wrapped, tokenizer, optimizer, mine, settings.rows_per_worker, settings.seed * 100_003 + epoch, device
        )

    def validate(bare: nn.Module) -> tuple[float, float]:
        return measure(bare, tokenizer, held_out, device)

    epochs.run_epochs(model, settings, train, validate)


def train_epoch(
    model: nn.Module,
    tokenizer: Any,
    optimizer: torch.optim.Optimizer,
    mine: list[Note],
    rows: int,
    seed: int,
    device: torch.device,
) -> float:
    """A step for each `rows` notes in an order that `seed` gives; the mean loss over the steps of all ranks."""
    order = random.Random(seed).sample(mine, len(mine))  # noqa: S311  the order of made data
    sums = torch.zeros(2, dtype=torch.float64, device=device)
    for start in range(0, len(order), rows):
        optimizer.zero_grad()
        loss = model(**network.encode(tokenizer, order[start : start + rows], device)).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        sums += torch.stack([loss.detach().double(), loss.new_tensor(1.0).double()])
    total, count = sum_over_ranks(sums).tolist()
    return total / count


@torch.inference_mode()
def measure(model: Any, tokenizer: Any, held_out: list[Note], device: torch.device) -> tuple[float, float]:
    """Mean loss of a token of the summaries, and the share of tokens that are right where those before them are."""
    batch = network.encode(tokenizer, held_out, device)
    answer = model(**batch)
    counted = batch["labels"] != network.IGNORED
    right = (answer.logits.argmax(dim=2) == batch["labels"]) & counted
    return float(answer.loss), float(right.sum() / counted.sum())
