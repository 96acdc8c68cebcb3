"""A small convolutional network; what it does to raw pixels first is part of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import torch
from torch import nn

from payloads.common.errors import PayloadError
from payloads.images.dataset import Manifest

# Channel statistics that models pretrained on ImageNet were given (torchvision's documentation of its weights).
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
# A channel that hardly varies is not blown up.
LEAST_DEVIATION = 1 / 255
# Groups that a stage's channels are normalised in; a share of them where the width is no multiple.
GROUPS = 8
# Cells a side of the grid that the last stage is averaged over: where a stroke lies tells digits apart. Averaged over
# the whole image, the same network got half of the held-out digits right after six epochs that bring it to 98 % here.
GRID = 4


@dataclass(frozen=True)
class Normalisation:
    """Mean and deviation of each channel, in 0..1."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def normalisation(kind: str, manifest: Manifest) -> Normalisation:
    """The statistics that `kind` (train, imagenet) means. Raises PayloadError for ImageNet's on grey images."""
    if kind == "train":
        return Normalisation(manifest.mean, tuple(max(each, LEAST_DEVIATION) for each in manifest.deviation))
    if manifest.shape[0] != len(IMAGENET_MEAN):
        raise PayloadError(
            f"--normalise imagenet is for images of {len(IMAGENET_MEAN)} channels and these have {manifest.shape[0]}: "
            "prepare them with --mode RGB or use --normalise train"
        )
    return Normalisation(IMAGENET_MEAN, IMAGENET_DEVIATION)


class Network(nn.Module):
    """(batch, channels, height, width) raw pixels 0..255 as floats -> (batch, classes) logits.

    Stages of two 3 x 3 convolutions; between them height and width are halved and the channels doubled. Width 16 and
    three stages make 82 thousand parameters. Group and not batch normalisation: it is the same for any batch, so rows
    may go through in pieces and a served row does not depend on its neighbours.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(
        self, normalisation: Normalisation, classes: int, width: int = 16, stages: int = 3, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(normalisation.mean)[:, None, None])
        self.register_buffer("deviation", 255 * torch.tensor(normalisation.deviation)[:, None, None])
        layers: list[nn.Module] = []
        channels = len(normalisation.mean)
        for stage in range(stages):
            wider = width * 2**stage
            layers += [*_convolution(channels, wider), *_convolution(wider, wider)]
            if stage < stages - 1:
                layers.append(nn.MaxPool2d(2))
            channels = wider
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels * GRID * GRID, classes))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found = self.features((pixels - self.mean) / self.deviation)
        return self.head(nn.functional.adaptive_avg_pool2d(found, GRID).flatten(1))


def _convolution(channels: int, wider: int) -> tuple[nn.Module, ...]:
    groups = next(groups for groups in range(min(GROUPS, wider), 0, -1) if wider % groups == 0)
    return nn.Conv2d(channels, wider, 3, padding=1, bias=False), nn.GroupNorm(groups, wider), nn.ReLU()
