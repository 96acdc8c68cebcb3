"""LinUCB (Li et al. 2010, disjoint form): for each arm a linear model of its reward, and how much is known about it.

All that is learned are sums over updates. They may come in any order and from anywhere, and adding the same set of them
gives the same model: that is what makes recovery and merging simple.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Update:
    """What came of one decision: `reward` in [0, 1] for `arm` in `context` (float64 [features])."""

    id: str
    arm: int
    context: np.ndarray
    reward: float


class LinUcb:
    """`precision` (arms, features, features): identity plus sums of x xᵀ; `moment` (arms, features): sums of r x."""

    def __init__(self, arms: int, features: int) -> None:
        self.precision = np.repeat(np.eye(features)[None], arms, axis=0)
        self.moment = np.zeros((arms, features))
        self.updates = 0

    def add(self, update: Update) -> None:
        self.precision[update.arm] += np.outer(update.context, update.context)
        self.moment[update.arm] += update.reward * update.context
        self.updates += 1

    def policy(self) -> Policy:
        """What choosing needs, apart from what learning needs."""
        covariance = np.linalg.inv(self.precision)
        return Policy(weights=np.einsum("aij,aj->ai", covariance, self.moment), covariance=covariance)

    def to_bytes(self) -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, precision=self.precision, moment=self.moment, updates=np.array(self.updates))
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> LinUcb:
        with np.load(io.BytesIO(content), allow_pickle=False) as parts:
            arms, features = parts["moment"].shape
            found = cls(arms, features)
            found.precision, found.moment = parts["precision"], parts["moment"]
            found.updates = int(parts["updates"])
        return found


@dataclass(frozen=True)
class Policy:
    """`weights` (arms, features) predict the reward, `covariance` (arms, features, features) says how surely."""

    weights: np.ndarray
    covariance: np.ndarray

    def choose(self, context: np.ndarray, explore: float) -> int:
        """The arm whose reward may be the largest: the prediction plus `explore` of its standard deviations."""
        expected = self.weights @ context
        deviation = np.sqrt(np.einsum("i,aij,j->a", context, self.covariance, context))
        return int((expected + explore * deviation).argmax())
