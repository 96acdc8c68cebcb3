"""Quality of the models on held-out scenes: what is found, how well it lies, what is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from payloads.vision import geometry
from payloads.vision.geometry import Boxes
from payloads.vision.ink import ink
from payloads.vision.scenes import CLASSES, Scene

# Of the COCO and Pascal VOC challenges: at this overlap a box counts as found.
ENOUGH = 0.5
LEAST_SCORE = 0.4
MOST = 50
AT_ONCE = 64


@dataclass(frozen=True)
class Detection:
    """`found` of `digits` were found by one of `boxes` boxes each."""

    digits: int
    boxes: int
    found: int

    @property
    def recall(self) -> float:
        return self.found / max(self.digits, 1)

    @property
    def precision(self) -> float:
        return self.found / max(self.boxes, 1)

    @property
    def f1(self) -> float:
        return 2 * self.found / max(self.digits + self.boxes, 1)


@dataclass(frozen=True)
class Reading:
    """`errors` float32 [digits, points]: distance of each point from the true one, in pixels of the canvas."""

    accuracy: float
    errors: np.ndarray

    @property
    def point_error(self) -> float:
        return float(self.errors.mean())


@torch.inference_mode()
def detect(model: nn.Module, images: Sequence[np.ndarray], least: float = LEAST_SCORE) -> list[Boxes]:
    """Boxes in each of `images` (ink, uint8 [height, width]), in one pass of the detector."""
    canvases = torch.from_numpy(np.stack([geometry.fit_canvas(image) for image in images]))
    maps = model(canvases)
    return [
        geometry.peaks(each, (image.shape[0], image.shape[1]), least, MOST)
        for each, image in zip(maps, images, strict=True)
    ]


@torch.inference_mode()
def read(model: nn.Module, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n, 10] and points [n, 10] as shares of the crop, in one pass of the reader."""
    output = model(torch.from_numpy(crops))
    classes = len(CLASSES)
    return torch.softmax(output[:, :classes], dim=1).numpy(), output[:, classes:].numpy()


def match(boxes: Boxes, scene: Scene) -> dict[int, int]:
    """Which digit of `scene` each box found: the surest box chooses first, and a digit is found once."""
    pairs: dict[int, int] = {}
    overlap = geometry.overlaps(boxes.places, scene.boxes)
    for box in range(len(boxes.places)):
        left = np.array([-1.0 if digit in pairs.values() else overlap[box, digit] for digit in range(len(scene.boxes))])
        if len(left) and left.max() >= ENOUGH:
            pairs[box] = int(left.argmax())
    return pairs


def detection(model: nn.Module, scenes: Sequence[Scene]) -> Detection:
    """How much of `scenes` the detector finds; streamed, so that any number fits."""
    digits = boxes = found = 0
    for start in range(0, len(scenes), AT_ONCE):
        part = scenes[start : start + AT_ONCE]
        for scene, each in zip(part, detect(model, [ink(scene.image) for scene in part]), strict=True):
            digits += len(scene.boxes)
            boxes += len(each.places)
            found += len(match(each, scene))
    return Detection(digits, boxes, found)


def reading(model: nn.Module, scenes: Sequence[Scene]) -> Reading:
    """How well the reader reads digits whose boxes are known. Raises ValueError if there are none."""
    right, errors = [], []
    for scene in scenes:
        if not len(scene.boxes):
            continue
        crops = geometry.crop_places(scene.boxes)
        probabilities, points = read(model, geometry.cut(ink(scene.image), crops))
        right.append(probabilities.argmax(axis=1) == scene.labels)
        errors.append(np.linalg.norm(geometry.points_in_image(points, crops) - scene.points, axis=2))
    if not right:
        raise ValueError("cannot judge a reader on scenes without digits")
    return Reading(float(np.concatenate(right).mean()), np.concatenate(errors))
