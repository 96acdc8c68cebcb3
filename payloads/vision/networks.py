"""The two networks, small enough to train on a CPU in a minute."""

from __future__ import annotations

import torch
from torch import nn

from payloads.vision.scenes import CLASSES, POINTS


def _block(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class Detector(nn.Module):
    """Digits as points (Zhou, Wang and Kraehenbuehl: Objects as Points, 2019), of any class.

    (batch, 1, 96, 96) ink from 0 to 1 -> (batch, 5, 24, 24): for each cell of 4 x 4 pixels the logit of a digit's
    centre being there, its offset from the cell's middle (x, y in cells), and log(width / 24), log(height / 24). By its
    dilated layers a cell sees a square of 71 pixels, nearly twice the largest digit.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _block(1, width // 2, stride=2),
            _block(width // 2, width, stride=2),
            *(_block(width, width, dilation=dilation) for dilation in (1, 2, 4, 1)),
            nn.Conv2d(width, 5, 1),
        )
        # Hardly a cell holds a centre: a head that starts at one half would spend its first epoch on learning that.
        nn.init.constant_(self.layers[-1].bias[:1], -4.0)  # type: ignore[index, arg-type]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


class Reader(nn.Module):
    """Class and keypoints of a crop: (batch, 1, 24, 24) ink from 0 to 1 -> (batch, 20).

    The first ten are logits of the classes, the others x and y of the five points as shares of the crop.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _block(1, width, stride=2),
            _block(width, 2 * width),
            _block(2 * width, 2 * width, stride=2),
            nn.Flatten(),
            nn.Linear(2 * width * 36, 4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, len(CLASSES) + 2 * len(POINTS)),
        )

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return self.layers(crops)
