"""Random changes to training images that leave their class what it is.

What happens to an image depends on nothing but the seed, the epoch and the image: not on its batch, its worker or how
often training was interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torchvision.transforms import InterpolationMode, v2

from payloads.data.splits import draw


@dataclass(frozen=True)
class Recipe:
    """Strengths as in ImageTrainSettings; `seed` is the run's."""

    flip: float
    rotate: float
    shift: float
    zoom: float
    jitter: float
    hue: float
    seed: int


def transforms(recipe: Recipe, channels: int) -> v2.Transform:
    """The changes in their order, of uint8 images of shape (channels, height, width); no strength, no change."""
    steps: list[torch.nn.Module] = []
    if recipe.flip:
        steps.append(v2.RandomHorizontalFlip(recipe.flip))
    if recipe.rotate or recipe.shift or recipe.zoom:
        steps.append(
            v2.RandomAffine(
                degrees=recipe.rotate,
                translate=(recipe.shift, recipe.shift),
                scale=(1 - recipe.zoom, 1 + recipe.zoom),
                interpolation=InterpolationMode.BILINEAR,
            )
        )
    colour = channels > 1
    if recipe.jitter or (recipe.hue and colour):
        steps.append(
            v2.ColorJitter(
                brightness=recipe.jitter,
                contrast=recipe.jitter,
                saturation=recipe.jitter if colour else 0,
                hue=recipe.hue if colour else 0,
            )
        )
    return v2.Compose(steps) if steps else v2.Identity()


def augment(change: v2.Transform, pixels: np.ndarray, ids: np.ndarray, epoch: int, seed: int) -> np.ndarray:
    """uint8 (rows, channels, height, width) -> the same shape, each row changed by draws of its own."""
    # 2^53 draws: two images of one epoch hardly ever share theirs.
    seeds = (draw(ids, seed * 100_003 + epoch) * 2**53).astype(np.int64)
    out = np.empty_like(pixels)
    with torch.random.fork_rng(devices=[]):
        for row, own in enumerate(seeds.tolist()):
            torch.manual_seed(own)
            out[row] = change(torch.from_numpy(pixels[row].copy())).numpy()
    return out
