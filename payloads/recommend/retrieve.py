"""From a user to the items that are worth a closer look: the nearest neighbours of the user's vector, by FAISS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import faiss
import numpy as np

from payloads.recommend.catalogue import Catalogue

Kind = Literal["flat", "hnsw"]
# Links of an item and breadth of a search: Malkov and Yashunin 2016 find 12 to 48 links right for most data.
LINKS, BREADTH = 32, 128


@dataclass(frozen=True)
class Query:
    """`count` candidates for `user`, without those in `exclude` and, unless `again`, what the user has seen."""

    user: str
    count: int
    exclude: tuple[str, ...] = ()
    again: bool = False


@dataclass(frozen=True)
class Candidates:
    """Item positions int64 [n], best first. `user` is a position, or None for an unknown user: then these are simply
    the most popular items. `scores` float32 [n] are inner products, or shares of all interactions.

    Positions mean something in one version of the model alone, so that is said with them.
    """

    user: int | None
    items: np.ndarray
    scores: np.ndarray
    version: str = ""


class Retriever:
    """`flat` compares with every item and is exact; `hnsw` walks a graph, and suits catalogues of millions."""

    def __init__(self, catalogue: Catalogue, kind: Kind = "flat", version: str = "") -> None:
        self.catalogue = catalogue
        self.version = version
        width = catalogue.item_vectors.shape[1]
        self.index = faiss.index_factory(
            width, "Flat" if kind == "flat" else f"HNSW{LINKS},Flat", faiss.METRIC_INNER_PRODUCT
        )
        if kind == "hnsw":
            self.index.hnsw.efSearch = BREADTH
        self.index.add(np.ascontiguousarray(catalogue.item_vectors))

    def find(self, queries: Sequence[Query]) -> list[Candidates]:
        """Candidates of every query, in one search for all known users.

        More neighbours are asked for than wanted, by as many as may have to be left out: fewer than `count` come back
        only where the catalogue holds no more (or a graph search finds no more).
        """
        places = [self.catalogue.user_at.get(query.user) for query in queries]
        unwanted = [self._unwanted(query, place) for query, place in zip(queries, places, strict=True)]
        known = [row for row, place in enumerate(places) if place is not None]
        neighbours: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        if known:
            most = max(queries[row].count + len(unwanted[row]) for row in known)
            vectors = self.catalogue.user_vectors[[places[row] for row in known]]
            scores, items = self.index.search(vectors, min(most, self.index.ntotal))
            neighbours = {row: (items[at], scores[at]) for at, row in enumerate(known)}
        return [
            self._candidates(query, place, neighbours.get(row), unwanted[row])
            for row, (query, place) in enumerate(zip(queries, places, strict=True))
        ]

    def _candidates(
        self, query: Query, place: int | None, found: tuple[np.ndarray, np.ndarray] | None, unwanted: np.ndarray
    ) -> Candidates:
        if found is None:
            items = self.catalogue.popular[: query.count + len(unwanted)]
            scores = (self.catalogue.counts[items] / max(1, self.catalogue.counts.sum())).astype(np.float32)
        else:
            items, scores = found
        keep = np.flatnonzero(~np.isin(items, unwanted) & (items >= 0))[: query.count]
        return Candidates(place, items[keep].astype(np.int64), scores[keep], self.version)

    def _unwanted(self, query: Query, place: int | None) -> np.ndarray:
        named = [at for name in query.exclude if (at := self.catalogue.item_at.get(name)) is not None]
        seen = [] if query.again or place is None else self.catalogue.seen(place)
        return np.union1d(np.asarray(named, np.int64), np.asarray(seen, np.int64))
