"""Whether a challenger has lost what the champion knows of earlier partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from payloads.training.paired import Comparison, compare

if TYPE_CHECKING:
    import ray.data


@torch.inference_mode()
def right(model: nn.Module, dataset: ray.data.Dataset) -> list[bool]:
    """Whether a model of raw pixels gets each row right, in the data set's order."""
    found: list[bool] = []
    for batch in dataset.iter_batches(batch_size=1024, batch_format="numpy"):
        logits = model(torch.from_numpy(np.stack(batch["pixels"]).astype(np.float32)))
        found += (logits.argmax(dim=1).numpy() == np.asarray(batch["target"])).tolist()
    return found


def compared(champion: nn.Module, challenger: nn.Module, earlier: ray.data.Dataset) -> Comparison:
    return compare(right(champion, earlier), right(challenger, earlier))


def objection(comparison: Comparison, alpha: float) -> str | None:
    """Why the challenger must not be registered; None if chance explains what it lost."""
    if comparison.outcome(alpha) != "worse":
        return None
    return (
        f"it has forgotten earlier partitions: of their {comparison.rows} held-out rows it loses "
        f"{comparison.lost} that the champion gets right and gains {comparison.gained} "
        f"(p = {comparison.p_value:.2g}, below {alpha:g})"
    )
