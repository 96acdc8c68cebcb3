"""Standardisation: each feature minus its mean, divided by its standard deviation.

Fitted on the train split only, then carried inside the model that is registered, so training and serving cannot
apply different statistics.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

# A pixel in the corner is almost always blank: divided by its own tiny deviation, the least smudge on it outweighed the
# digit (noise of half a grey level changed every tenth answer).
LEAST_SCALE = 0.15


@dataclass(frozen=True)
class Moments:
    """Count, means and sums of squared deviations of some rows; merges exactly with another block's.

    `count` is one number, or one a feature where values may be missing.
    """

    count: int | np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Moments:
        """Moments of a (rows, features) matrix, in float64 whatever its type."""
        values = features.astype(np.float64)
        mean = values.mean(axis=0)
        return cls(count=len(values), mean=mean, squares=((values - mean) ** 2).sum(axis=0))

    def merge(self, other: Moments) -> Moments:
        """Chan's update: no difference of large sums, so no precision is lost over many blocks."""
        count = self.count + other.count
        delta = other.mean - self.mean
        return Moments(
            count=count,
            mean=self.mean + delta * (other.count / np.maximum(count, 1)),
            squares=self.squares + other.squares + delta**2 * (self.count * other.count / np.maximum(count, 1)),
        )


@dataclass(frozen=True)
class Scaler:
    """Per-feature mean and scale, both float32 of shape (features,)."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, blocks: Iterable[Moments], least_share: float = LEAST_SCALE) -> Scaler:
        """Scaler of all rows behind `blocks`; none is divided by less than `least_share` of the largest deviation.

        Features of one kind, like pixels, have a scale in common; for others `least_share` is 0. What never varies is
        divided by that least, or by 1.

        Raises ValueError if there is no row.
        """
        total: Moments | None = None
        for block in blocks:
            total = block if total is None else total.merge(block)
        if total is None or not np.all(total.count):
            raise ValueError("cannot fit a scaler on no rows")
        deviation = np.sqrt(total.squares / total.count)
        scale = np.maximum(deviation, least_share * deviation.max())
        scale = np.where(scale > 0, scale, 1.0)
        return cls(mean=total.mean.astype(np.float32), scale=scale.astype(np.float32))

    def transform(self, features: np.ndarray) -> np.ndarray:
        return (features.astype(np.float32) - self.mean) / self.scale

    def to_json(self) -> str:
        return json.dumps({"mean": self.mean.tolist(), "scale": self.scale.tolist()})

    @classmethod
    def from_json(cls, text: str) -> Scaler:
        parts = json.loads(text)
        return cls(mean=np.asarray(parts["mean"], np.float32), scale=np.asarray(parts["scale"], np.float32))
