"""Stratified train, validation and test splits that depend on nothing but row ids, labels and a seed.

Every row draws a number in [0, 1) from a hash of its id and the seed; each class has its own two cut points. So a row
keeps its split however the data is blocked, ordered or read, and classes keep their shares to within one row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True)
class Fractions:
    """Shares of validation and test; the rest is train."""

    validation: float
    test: float


@dataclass(frozen=True)
class Cuts:
    """For each class: below `test` a row is held out for the test, below `validation` for validation."""

    seed: int
    classes: tuple[str, ...]
    test: tuple[float, ...]
    validation: tuple[float, ...]


def draw(ids: np.ndarray, seed: int) -> np.ndarray:
    """A number in [0, 1) for each id: splitmix64 of (id, seed), the top 53 bits as a float."""
    with np.errstate(over="ignore"):
        state = ids.astype(np.uint64) + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
        for _ in range(2):  # consecutive ids and seeds still correlate after one round
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def cut_points(ids: np.ndarray, labels: np.ndarray, fractions: Fractions, seed: int) -> Cuts:
    """Cut points that give each class its share, rounded to whole rows.

    Raises ValueError if a class is too small to have a row in each split: its accuracy would be unknown.
    """
    classes = tuple(sorted(set(labels.tolist())))
    draws = draw(ids, seed)
    tests: list[float] = []
    validations: list[float] = []
    for name in classes:
        ranked = np.sort(draws[labels == name])
        test_rows = round(len(ranked) * fractions.test)
        held_out = test_rows + round(len(ranked) * fractions.validation)
        if not 0 < test_rows < held_out < len(ranked):
            raise ValueError(f"class {name} has {len(ranked)} rows, too few for a train, validation and test split")
        tests.append(float(ranked[test_rows]))
        validations.append(float(ranked[held_out]))
    return Cuts(seed=seed, classes=classes, test=tuple(tests), validation=tuple(validations))


def assign(ids: np.ndarray, classes: np.ndarray, cuts: Cuts) -> np.ndarray:
    """The split of each row, as strings; `classes` are positions in `cuts.classes`."""
    draws = draw(ids, cuts.seed)
    return np.where(
        draws < np.asarray(cuts.test)[classes],
        TEST,
        np.where(draws < np.asarray(cuts.validation)[classes], VALIDATION, TRAIN),
    )
