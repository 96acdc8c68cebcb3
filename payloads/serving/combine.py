"""What several models' answers to the same rows come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from payloads.serving.model import Predictions

How = Literal["average", "vote"]


def combine(answers: Mapping[str, np.ndarray], weights: Mapping[str, float], how: How) -> Predictions:
    """Classes and confidences from each member's probabilities (float32 [rows, classes]); at least one answered.

    `average` takes the class with the largest weighted mean probability and gives that as confidence. `vote` takes the
    class with the most weight of members behind it and gives their share; of classes with equal votes, the one that the
    average prefers.
    """
    names = sorted(answers)
    share = np.array([weights[name] for name in names])
    share = share / share.sum()
    stacked = np.stack([answers[name] for name in names]).astype(np.float64)
    mean = np.tensordot(share, stacked, axes=1)
    if how == "average":
        scores = mean
        classes = scores.argmax(axis=1)
    else:
        ballots = np.eye(stacked.shape[2])[stacked.argmax(axis=2)]
        scores = np.tensordot(share, ballots, axes=1)
        # A mean is at most 1, so it can decide between equal votes and never between unequal ones.
        classes = (np.round(scores, 9) + mean * 1e-10).argmax(axis=1)
    confidences = scores[np.arange(len(classes)), classes]
    return Predictions(classes.tolist(), confidences.tolist())


def sure(probabilities: np.ndarray, confident: float) -> bool:
    """Whether every row has a class with at least this probability."""
    return bool((probabilities.max(axis=1) >= confident).all())
