"""Scenes of handwritten digits whose boxes and keypoints are known exactly.

scikit-learn's scans (8 x 8) are enlarged and placed at random on a sheet with specks and noise, dark on light or light
on dark. A scene is made by its seed alone; held-out scenes show handwriting that no training scene shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from payloads.data import digits, splits

CANVAS = 96
CLASSES = tuple(str(digit) for digit in range(10))
# In the order of `Scene.points`; all are means over ink pixels, so that no single pixel decides one.
POINTS = ("centre", "top", "bottom", "left", "right")
MOST = 6
# Height of a digit's frame in pixels of the canvas.
HEIGHTS = (15, 38)
# Share of the strongest stroke from which a pixel counts as ink.
INK = 0.4
# How much of a digit's extent counts as its end, for the four outer points.
END = 0.12


@dataclass(frozen=True)
class Glyphs:
    """Scans of one split: `images` uint8 [n, 8, 8] from 0 to 255, `labels` int64 [n], positions in CLASSES."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Scene:
    """Coordinates are pixels, x to the right and y downwards; pixel i covers i to i + 1.

    `image` uint8 [CANVAS, CANVAS]; `boxes` float32 [n, 4] as x0, y0, x1, y1; `labels` int64 [n]; `points` float32
    [n, 5, 2] as x, y in the order of POINTS.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    points: np.ndarray


def glyphs(split: str, split_seed: int) -> Glyphs:
    """The scans of one split, by the same rule as the digits payload's."""
    table = digits.build_table()
    digits.check_table(table)
    names = np.array(table["label"].to_pylist())
    ids, labels = table["id"].to_numpy(), np.searchsorted(np.array(CLASSES), names)
    cuts = splits.cut_points(ids, names, splits.Fractions(0.15, 0.15), split_seed)
    chosen = splits.assign(ids, labels, cuts) == split
    images = digits.pixel_matrix(table)[chosen].reshape(-1, 8, 8) * (255 / digits.INTENSITY_MAX)
    return Glyphs(images.astype(np.uint8), labels[chosen])


def compose(source: Glyphs, seed: tuple[int, ...], least: int = 0) -> Scene:
    """The scene of `seed`, with `least` (0 or 1) to MOST digits that do not overlap."""
    rng = np.random.default_rng(seed)
    sheet = np.zeros((CANVAS, CANVAS), np.float32)
    frames: list[tuple[int, int, int, int]] = []
    boxes, labels, points = [], [], []
    for _ in range(rng.integers(least, MOST + 1)):
        chosen = rng.integers(len(source.labels))
        height = int(rng.integers(*HEIGHTS))
        width = round(height * rng.uniform(0.75, 1.1))
        frame = _place(rng, width, height, frames)
        if frame is None:
            continue
        frames.append(frame)
        stroke = _enlarge(source.images[chosen], width, height)
        x, y = frame[:2]
        part = sheet[y : y + height, x : x + width]
        np.maximum(part, stroke * rng.uniform(0.6, 1.0), out=part)
        box, found = landmarks(stroke)
        boxes.append(box + np.array([x, y, x, y]))
        points.append(found + np.array([x, y]))
        labels.append(source.labels[chosen])
    return Scene(
        _finish(rng, sheet),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array(points, np.float32).reshape(-1, len(POINTS), 2),
    )


def landmarks(stroke: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Box [4] and points [5, 2] of the ink in `stroke` (float [height, width]), in its own pixels."""
    ys, xs = np.nonzero(stroke > INK * stroke.max())
    x0, y0, x1, y1 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    weights = stroke[ys, xs]
    cx, cy = np.average(xs + 0.5, weights=weights), np.average(ys + 0.5, weights=weights)
    deep, wide = max(1.0, END * (y1 - y0)), max(1.0, END * (x1 - x0))
    return np.array([x0, y0, x1, y1], np.float32), np.array(
        [
            (cx, cy),
            (xs[ys < y0 + deep].mean() + 0.5, y0),
            (xs[ys >= y1 - deep].mean() + 0.5, y1),
            (x0, ys[xs < x0 + wide].mean() + 0.5),
            (x1, ys[xs >= x1 - wide].mean() + 0.5),
        ],
        np.float32,
    )


def _place(
    rng: np.random.Generator, width: int, height: int, others: list[tuple[int, int, int, int]]
) -> tuple[int, int, int, int] | None:
    """A free place (x0, y0, x1, y1), or None where ten tries found none: the sheet is full."""
    for _ in range(10):
        x, y = int(rng.integers(0, CANVAS - width + 1)), int(rng.integers(0, CANVAS - height + 1))
        if all(x >= x1 or x + width <= x0 or y >= y1 or y + height <= y0 for x0, y0, x1, y1 in others):
            return x, y, x + width, y + height
    return None


def _enlarge(scan: np.ndarray, width: int, height: int) -> np.ndarray:
    image = Image.fromarray(scan).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32) / 255


def _finish(rng: np.random.Generator, sheet: np.ndarray) -> np.ndarray:
    """Specks that are no digits, noise, a ground that is not quite black, and for one scene in two the negative."""
    for _ in range(rng.integers(0, 5)):
        size = int(rng.integers(1, 4))
        x, y = rng.integers(0, CANVAS - size, 2)
        sheet[y : y + size, x : x + size] = rng.uniform(0.3, 1.0)
    ground = rng.uniform(0, 0.3)
    grey = ground + (1 - ground) * sheet
    grey += rng.uniform(0, 0.1) * rng.standard_normal(grey.shape, np.float32)
    if rng.random() < 0.5:
        grey = 1 - grey
    return (np.clip(grey, 0, 1) * 255).astype(np.uint8)
