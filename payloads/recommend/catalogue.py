"""What retrieval needs of a trained recommender, as one file that lies beside the ranker in its registered version."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

FILE = "catalogue.npz"


@dataclass(frozen=True)
class Catalogue:
    """Names and vectors of users and items by position.

    `users`, `items` text [n]; vectors float32 [n, dim + 1]; `counts` int64 [items], the interactions that each item
    had; `offsets` int64 [users + 1] into `history` int64 [m], the items that each user has seen.
    """

    users: np.ndarray
    items: np.ndarray
    user_vectors: np.ndarray
    item_vectors: np.ndarray
    counts: np.ndarray
    offsets: np.ndarray
    history: np.ndarray

    def seen(self, user: int) -> np.ndarray:
        """Positions of the items that the user at this position has seen."""
        return self.history[self.offsets[user] : self.offsets[user + 1]]

    @cached_property
    def user_at(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.users.tolist())}

    @cached_property
    def item_at(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.items.tolist())}

    @cached_property
    def popular(self) -> np.ndarray:
        """Positions of all items, the most popular first; equal ones in the order of their positions."""
        return np.argsort(-self.counts, kind="stable")

    def write(self, folder: Path) -> Path:
        path = folder / FILE
        np.savez(path, **{name: getattr(self, name) for name in self.__dataclass_fields__})
        return path


def read(path: Path) -> Catalogue:
    """What `write` wrote; nothing in the file is run."""
    with np.load(path, allow_pickle=False) as arrays:
        return Catalogue(**{name: arrays[name] for name in Catalogue.__dataclass_fields__})
