"""From an image to what the models take, and from what they give back to places in the image.

Coordinates are pixels, x to the right and y downwards; pixel i covers i to i + 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision.ops import nms

from payloads.vision.scenes import CANVAS, POINTS

STRIDE = 4
CELLS = CANVAS // STRIDE
CROP = 24
# What is left around a box on each side, as a share of its larger side: the reader is to see where a stroke ends.
MARGIN = 0.15
# Two boxes that overlap more are one digit found twice. Digits of a scene do not overlap.
SAME = 0.3
# Sizes are learned as the logarithm of their ratio to this, in pixels of the canvas.
TYPICAL = 24.0


@dataclass(frozen=True)
class Boxes:
    """`places` float32 [n, 4] as x0, y0, x1, y1, the surest first; `scores` float32 [n] from 0 to 1."""

    places: np.ndarray
    scores: np.ndarray


def fit_canvas(image: np.ndarray) -> np.ndarray:
    """`image` (uint8 [height, width]) with its longer side CANVAS, on ground to the right or below: float32
    [1, CANVAS, CANVAS] from 0 to 1."""
    height, width = image.shape
    canvas = np.zeros((1, CANVAS, CANVAS), np.float32)
    scale = CANVAS / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = image if size == (width, height) else Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
    canvas[0, : size[1], : size[0]] = np.asarray(small, np.float32) / 255
    return canvas


def peaks(maps: torch.Tensor, shape: tuple[int, int], least: float, most: int) -> Boxes:
    """Boxes of one image from the detector's maps [5, CELLS, CELLS]; `shape` is the image's height and width.

    Cells that are the highest among their neighbours and at least `least` sure, the `most` surest, without doubles.
    """
    heat = torch.sigmoid(maps[0])
    highest = nn.functional.max_pool2d(heat[None], 3, stride=1, padding=1)[0]
    ys, xs = torch.nonzero((heat == highest) & (heat >= least), as_tuple=True)
    scores = heat[ys, xs]
    centres = (torch.stack([xs, ys]) + 0.5 + maps[1:3, ys, xs]) * STRIDE
    halves = torch.exp(maps[3:5, ys, xs].clamp(-3, 3)) * (TYPICAL / 2)
    places = torch.cat([centres - halves, centres + halves]).T
    kept = nms(places, scores, SAME)[:most]
    height, width = shape
    limits = np.array([width, height, width, height], np.float32)
    scaled = places[kept].numpy() * np.float32(max(height, width) / CANVAS)
    return Boxes(np.clip(scaled, 0, limits).astype(np.float32), scores[kept].numpy().astype(np.float32))


def crop_places(places: np.ndarray) -> np.ndarray:
    """What is cut out for each box: square, with a margin, whole pixels: int64 [n, 4]. May reach over the border."""
    centres = (places[:, :2] + places[:, 2:]) / 2
    halves = np.maximum((places[:, 2:] - places[:, :2]).max(axis=1, initial=1, keepdims=True) * (0.5 + MARGIN), 1.0)
    return np.concatenate([np.floor(centres - halves), np.ceil(centres + halves)], axis=1).astype(np.int64)


def cut(image: np.ndarray, crops: np.ndarray) -> np.ndarray:
    """The crops of `image` (uint8 [height, width]), ground beyond the border: float32 [n, 1, CROP, CROP], 0 to 1.

    Only what is cut is copied: `image` may be a view of shared memory.
    """
    height, width = image.shape
    found = np.zeros((len(crops), 1, CROP, CROP), np.float32)
    for index, (x0, y0, x1, y1) in enumerate(crops.tolist()):
        part = np.zeros((y1 - y0, x1 - x0), np.uint8)
        top, left, bottom, right = max(y0, 0), max(x0, 0), min(y1, height), min(x1, width)
        part[top - y0 : bottom - y0, left - x0 : right - x0] = image[top:bottom, left:right]
        small = Image.fromarray(part).resize((CROP, CROP), Image.Resampling.BILINEAR)
        found[index, 0] = np.asarray(small, np.float32) / 255
    return found


def points_in_image(points: np.ndarray, crops: np.ndarray) -> np.ndarray:
    """The reader's points (float32 [n, 10], shares of the crop) as x, y in the image: float32 [n, 5, 2]."""
    corners, sizes = crops[:, None, :2], (crops[:, 2:] - crops[:, :2])[:, None, :]
    return (corners + points.reshape(-1, len(POINTS), 2) * sizes).astype(np.float32)


def points_in_crop(points: np.ndarray, crops: np.ndarray) -> np.ndarray:
    """The inverse of `points_in_image`."""
    corners, sizes = crops[:, None, :2], (crops[:, 2:] - crops[:, :2])[:, None, :]
    return ((points - corners) / sizes).reshape(-1, 2 * len(POINTS)).astype(np.float32)


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of each box of `one` with each of `other`: float32 [n, m]."""
    lower = np.maximum(one[:, None, :2], other[None, :, :2])
    upper = np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = np.clip(upper - lower, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other)]
    return common / np.maximum(areas[0][:, None] + areas[1][None] - common, 1e-9)
