"""A row keeps its split whatever happens around it."""

from __future__ import annotations

import numpy as np
import pytest

from payloads.data.splits import TEST, TRAIN, VALIDATION, Fractions, assign, cut_points, draw

FRACTIONS = Fractions(validation=0.15, test=0.15)
IDS = np.arange(1000, dtype=np.int64)
LABELS = np.array(["a", "b", "c", "d"])[IDS % 4]
CLASSES = IDS % 4


def split(seed: int, ids: np.ndarray = IDS, classes: np.ndarray = CLASSES) -> np.ndarray:
    return assign(ids, classes, cut_points(IDS, LABELS, FRACTIONS, seed))


def test_each_class_has_its_share_to_within_one_row():
    found = split(seed=7)
    for position in range(4):
        rows = found[position == CLASSES]
        assert abs((rows == TEST).sum() - 37.5) <= 1
        assert abs((rows == VALIDATION).sum() - 37.5) <= 1
        assert (rows == TRAIN).sum() == 250 - (rows == TEST).sum() - (rows == VALIDATION).sum()


def test_order_and_blocks_do_not_matter():
    order = np.random.default_rng(0).permutation(len(IDS))
    shuffled = np.empty_like(split(seed=7))
    for block in np.array_split(order, 13):
        shuffled[block] = split(seed=7, ids=IDS[block], classes=CLASSES[block])
    assert (shuffled == split(seed=7)).all()


def test_another_seed_gives_another_split_of_the_same_sizes():
    one, other = split(seed=1), split(seed=2)
    assert (one == TEST).sum() == (other == TEST).sum()
    overlap = ((one == TEST) & (other == TEST)).sum() / (one == TEST).sum()
    assert overlap < 0.3, "splits of neighbouring seeds must be independent (15 % overlap is chance)"


def test_draws_are_uniform_and_unrelated_to_the_id():
    numbers = draw(np.arange(100_000), seed=3)
    counts, _ = np.histogram(numbers, bins=20, range=(0, 1))
    assert abs(counts - 5000).max() < 400, "400 rows are 5.8 standard deviations of a fair draw"
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.02


def test_a_class_too_small_for_three_splits_is_refused_by_name():
    labels = LABELS.copy()
    labels[:3] = "z"
    with pytest.raises(ValueError, match="class z has 3 rows"):
        cut_points(IDS, labels, FRACTIONS, seed=1)
