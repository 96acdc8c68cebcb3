"""The classifier: a multi-layer perceptron, and the form of it that is registered."""

from __future__ import annotations

import torch
from torch import nn

from payloads.data.scaler import Scaler


class Mlp(nn.Module):
    """`depth` hidden layers of `hidden` units: (batch, features) standardised floats -> (batch, classes) logits.

    hidden 512 and depth 3 make 0.56 M parameters (2.3 MB), hidden 2048 makes 8.5 M (34 MB).
    """

    def __init__(self, features: int, classes: int, hidden: int, depth: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = features
        for _ in range(depth):
            layers += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout)]
            width = hidden
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.layers(features)


class Classifier(nn.Module):
    """What is served: (batch, features) raw inputs -> (batch, classes) logits.

    The scaler is part of the module, so whoever loads the model cannot forget it or apply another run's.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, network: nn.Module, scaler: Scaler) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.from_numpy(scaler.mean.copy()))
        self.register_buffer("scale", torch.from_numpy(scaler.scale.copy()))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.network((inputs - self.mean) / self.scale)
