"""What each model is trained on and by which loss; one batch of scenes becomes one batch of the model's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from payloads.vision import geometry
from payloads.vision.geometry import CELLS, CROP, STRIDE, TYPICAL
from payloads.vision.ink import ink
from payloads.vision.networks import Detector, Reader
from payloads.vision.scenes import CANVAS, CLASSES, Scene

Batch = tuple[torch.Tensor, ...]
# Error of a point in shares of the crop against nats of the class: at 20 the points drowned the class.
POINTS_WEIGHT = 5.0
# How far a detector's box may be from the true one, as a share of its side: the reader is trained on such.
JITTER = 0.08


@dataclass(frozen=True)
class Task:
    """`batch` makes inputs first and targets after them; `loss` takes the network's output and those targets.

    `shape` is that of one input. `scenes` is the part of a batch of scenes that makes a step: a scene is one input of
    the detector and several of the reader.
    A scene of training has `least` digits or more: a reader cannot be trained on a scene without.
    """

    network: Callable[[int], nn.Module]
    batch: Callable[[list[Scene], np.random.Generator], Batch]
    loss: Callable[..., torch.Tensor]
    shape: tuple[int, ...]
    scenes: float = 1.0
    least: int = 0


def detector_batch(scenes: list[Scene], _rng: np.random.Generator) -> Batch:
    """Canvases, heat maps [n, 24, 24] with 1 at each centre, and offsets and sizes [n, 4, 24, 24] there."""
    canvases = np.stack([geometry.fit_canvas(ink(scene.image)) for scene in scenes])
    heat = np.zeros((len(scenes), CELLS, CELLS), np.float32)
    places = np.zeros((len(scenes), 4, CELLS, CELLS), np.float32)
    grid = np.arange(CELLS) + 0.5
    for index, scene in enumerate(scenes):
        for x0, y0, x1, y1 in scene.boxes.tolist():
            cx, cy = (x0 + x1) / 2 / STRIDE, (y0 + y1) / 2 / STRIDE
            column, row = min(int(cx), CELLS - 1), min(int(cy), CELLS - 1)
            # Cells beside a centre are nearly right, the more so the larger the digit is.
            spread = max(0.6, np.sqrt((x1 - x0) * (y1 - y0)) / STRIDE / 6)
            bump = np.exp(-((grid[None] - column - 0.5) ** 2 + (grid[:, None] - row - 0.5) ** 2) / (2 * spread**2))
            np.maximum(heat[index], bump, out=heat[index])
            offset = (cx - column - 0.5, cy - row - 0.5)
            places[index, :, row, column] = (*offset, np.log((x1 - x0) / TYPICAL), np.log((y1 - y0) / TYPICAL))
    return torch.from_numpy(canvases), torch.from_numpy(heat), torch.from_numpy(places)


def detector_loss(maps: torch.Tensor, heat: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """The focal loss of Law and Deng (CornerNet, 2018; alpha 2, beta 4) for centres, L1 for offsets and sizes, both by
    the number of digits."""
    found = torch.sigmoid(maps[:, 0]).clamp(1e-4, 1 - 1e-4)
    centres = heat == 1
    count = centres.sum().clamp(min=1)
    focal = torch.where(
        centres, (1 - found) ** 2 * found.log(), (1 - heat) ** 4 * found**2 * (1 - found).log()
    ).sum()  # fmt: skip
    distance = ((maps[:, 1:] - places).abs() * centres[:, None]).sum()
    return (distance - focal) / count


def reader_batch(scenes: list[Scene], rng: np.random.Generator) -> Batch:
    """Crops around the true boxes, moved a little as a detector would; labels [n]; points [n, 10] in shares."""
    images, labels, points = [], [], []
    for scene in scenes:
        sides = np.concatenate([scene.boxes[:, 2:] - scene.boxes[:, :2]] * 2, axis=1)
        moved = scene.boxes + sides * rng.uniform(-JITTER, JITTER, scene.boxes.shape)
        crops = geometry.crop_places(moved)
        images.append(geometry.cut(ink(scene.image), crops))
        labels.append(scene.labels)
        points.append(geometry.points_in_crop(scene.points, crops))
    return tuple(torch.from_numpy(np.concatenate(parts)) for parts in (images, labels, points))


def reader_loss(output: torch.Tensor, labels: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    classes = len(CLASSES)
    wrong = nn.functional.cross_entropy(output[:, :classes], labels)
    return wrong + POINTS_WEIGHT * nn.functional.smooth_l1_loss(output[:, classes:], points, beta=0.05)


TASKS = {
    "detector": Task(Detector, detector_batch, detector_loss, (1, CANVAS, CANVAS)),
    "reader": Task(Reader, reader_batch, reader_loss, (1, CROP, CROP), scenes=0.25, least=1),
}
