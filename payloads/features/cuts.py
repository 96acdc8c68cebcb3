"""Cut points of a stratified split, from counts instead of from all ids and labels.

The draw of a row (data/splits.py) is a number in [0, 1) from its id and the seed. Counting rows of each class in equal
buckets of it is enough to cut where the shares come out right, and counts add up over any number of files: nothing
grows with the number of rows.
"""

from __future__ import annotations

import numpy as np

from payloads.data.splits import Cuts, Fractions

# A class has its share to within the rows of one bucket: one 4096th of them, or a row or two where there are few.
BUCKETS = 4096


def histogram(draws: np.ndarray, codes: np.ndarray, classes: int) -> np.ndarray:
    """Rows of each class in each bucket: int64 of shape (classes, BUCKETS)."""
    cells = codes * BUCKETS + (draws * BUCKETS).astype(np.int64)
    return np.bincount(cells, minlength=classes * BUCKETS).reshape(classes, BUCKETS)


def cut(counts: np.ndarray, classes: tuple[str, ...], fractions: Fractions, seed: int) -> Cuts:
    """Cut points at edges of buckets. Raises ValueError for a class without a row in each of the three splits."""
    tests: list[float] = []
    validations: list[float] = []
    for name, row in zip(classes, counts, strict=True):
        below = np.concatenate([[0], np.cumsum(row)])
        total = int(below[-1])
        test = _edge(below, total * fractions.test)
        validation = _edge(below, total * (fractions.test + fractions.validation))
        if not 0 < below[test] < below[validation] < total:
            raise ValueError(f"class {name} has {total} rows, too few for a train, validation and test split")
        tests.append(test / BUCKETS)
        validations.append(validation / BUCKETS)
    return Cuts(seed=seed, classes=classes, test=tuple(tests), validation=tuple(validations))


def _edge(below: np.ndarray, wanted: float) -> int:
    """The edge with the number of rows below it that is nearest to `wanted`."""
    return int(np.abs(below - wanted).argmin())
