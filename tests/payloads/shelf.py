"""A catalogue of six items that can be recommended by looking at it."""

from __future__ import annotations

import numpy as np

from payloads.recommend.catalogue import Catalogue

# Items lie on a line, users look along it one way or the other; u0 has seen the two at his end.
TABLE = Catalogue(
    users=np.array(["u0", "u1", "u2"]),
    items=np.array([f"i{number}" for number in range(6)]),
    user_vectors=np.array([[1, 0], [-1, 0], [1, 0]], np.float32),
    item_vectors=np.array([[number, 1] for number in range(6)], np.float32),
    counts=np.array([1, 5, 2, 5, 0, 3]),
    offsets=np.array([0, 2, 2, 2]),
    history=np.array([5, 4]),
)
