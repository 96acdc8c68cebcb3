"""Made interactions, of a structure that is known: what a good recommender could find at best can be computed.

Items have a category, a price and a popularity; users like a few categories and a price. A user's interactions are
draws without replacement with probabilities proportional to exp(utility), by the largest of utility + Gumbel noise
(Yellott 1977, "The relationship between Luce's choice axiom, Thurstone's theory of comparative judgment, and the
double exponential distribution").
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from payloads.common.storage import Storage
from payloads.data import samples

CATEGORIES = 12
USERS_A_FILE = 20_000
# How much a favourite category, a fitting price and popularity are worth, in units of the Gumbel noise.
LIKING, FITTING, FAME = 7.0, 8.0, 0.8


@dataclass(frozen=True)
class World:
    """`users` and `items`, made anew from `seed` wherever they are needed; each user has `history` interactions."""

    users: int
    items: int
    history: int
    seed: int

    @cached_property
    def category(self) -> np.ndarray:
        return np.random.default_rng([self.seed, 1]).integers(0, CATEGORIES, self.items)

    @cached_property
    def price(self) -> np.ndarray:
        """Between 0 and 1."""
        return np.random.default_rng([self.seed, 2]).random(self.items)

    @cached_property
    def fame(self) -> np.ndarray:
        """Log popularity: Zipf's law over a random order of the items."""
        order = np.random.default_rng([self.seed, 3]).permutation(self.items)
        return -FAME * np.log1p(order)

    def utility(self, user: int) -> np.ndarray:
        """What each item is worth to `user`, float64 [items]."""
        random = np.random.default_rng([self.seed, 4, user])
        liked = random.dirichlet(np.full(CATEGORIES, 0.15))
        wanted = random.random()
        return self.fame + LIKING * np.sqrt(liked[self.category]) - FITTING * np.square(self.price - wanted)

    def interactions(self, user: int) -> np.ndarray:
        """Positions of the items that `user` interacted with, in the order of time."""
        random = np.random.default_rng([self.seed, 5, user])
        noisy = self.utility(user) + random.gumbel(size=self.items)
        return random.permutation(np.argpartition(-noisy, self.history - 1)[: self.history])

    @property
    def folder(self) -> str:
        return f"raw/interactions-{self.users}-{self.items}-{self.history}-{self.seed}"

    def items_table(self, first: int, count: int) -> pa.Table:
        """Columns item text, category text, price float64."""
        chosen = np.arange(first, first + count)
        return pa.table(
            {
                "item": [f"i{number}" for number in chosen],
                "category": [f"c{self.category[number]}" for number in chosen],
                "price": self.price[chosen],
            }
        )

    def interactions_table(self, first: int, count: int) -> pa.Table:
        """Columns user text, item text, at int64 (orders a user's interactions); `first` and `count` are rows."""
        users = range(first // self.history, (first + count) // self.history)
        found = [self.interactions(user) for user in users]
        return pa.table(
            {
                "user": np.repeat([f"u{user}" for user in users], self.history),
                "item": [f"i{number}" for items in found for number in items],
                "at": np.tile(np.arange(self.history), len(found)),
            }
        )


def ensure(storage: Storage, world: World) -> str:
    """Write `world` as Parquet unless it is there; the folder with interactions/ and items/ in it."""
    samples.ensure(storage, f"{world.folder}/items", world.items, world.items_table, 1_000_000, 100_000)
    rows, a_file = world.users * world.history, USERS_A_FILE * world.history
    samples.ensure(storage, f"{world.folder}/interactions", rows, world.interactions_table, a_file, 100_000)
    return world.folder
