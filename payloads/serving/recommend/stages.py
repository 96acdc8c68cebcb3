"""The two deployments behind the ingress: one searches and needs memory, one computes and may have a GPU."""

from __future__ import annotations

import asyncio
from typing import Any

import faiss
import numpy as np
import ray
from ray import serve
from ray.serve.schema import LoggingConfig

from payloads.common.settings import read_platform
from payloads.common.tracking import connect, explained
from payloads.recommend import registry
from payloads.recommend.rank import rank
from payloads.recommend.registry import Loaded
from payloads.recommend.retrieve import Candidates, Query, Retriever
from payloads.serving import model
from payloads.serving.recommend.schemas import RecommendArgs, RecommenderCard

QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)
# While a new champion is rolled out, retrieval replicas of two versions send candidates.
VERSIONS_KEPT = 2
Answer = dict[str, Any]


class Retrieve:
    """Ready only with the vectors of all items in its index."""

    def __init__(self, args: RecommendArgs) -> None:
        cpus = int(ray.get_runtime_context().get_assigned_resources().get("CPU", 1))
        faiss.omp_set_num_threads(max(1, cpus))
        self.args = args
        version = args.model_version or model.find_version(read_platform(), args.model_name, args.alias)
        self.retriever = Retriever(_load(args, version).catalogue, args.index, version)
        _tune(self.search, args)

    async def find(self, query: Query) -> Candidates:
        return await self.search(query)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.001)
    async def search(self, queries: list[Query]) -> list[Candidates]:
        """One search for all that wait."""
        return self.retriever.find(queries)

    async def card(self) -> dict[str, Any]:
        table = self.retriever.catalogue
        return RecommenderCard(
            model_name=self.args.model_name,
            model_version=self.retriever.version,
            users=len(table.users),
            items=len(table.items),
            index=self.args.index,
        ).model_dump()

    def check_health(self) -> None:
        """Called by Ray Serve; raising has the replica replaced."""
        if not len(self.retriever.find([Query("", 1)])[0].items):
            raise RuntimeError("the catalogue has no items")


class Rank:
    """Takes candidates by reference: they come from the replica that found them, not through the ingress.

    Their positions mean something in their own version alone, so that is the version which ranks them.
    """

    def __init__(self, args: RecommendArgs) -> None:
        self.device = model.claim_device(ray.get_runtime_context().get_assigned_resources())
        self.args = args
        self.held: dict[str, Loaded] = {}
        self.loading = asyncio.Lock()
        version = args.model_version or model.find_version(read_platform(), args.model_name, args.alias)
        self.held[version] = _load(args, version, self.device)
        _tune(self.score, args)

    async def order(self, candidates: Candidates, k: int) -> Answer:
        """The best `k` of the candidates: items, source and model_version of an answer."""
        return await self.score((candidates, k))

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.001)
    async def score(self, waiting: list[tuple[Candidates, int]]) -> list[Answer]:
        """One forward pass for all that wait, or two while versions change."""
        answers: dict[int, Answer] = {}
        for version in dict.fromkeys(candidates.version for candidates, _ in waiting):
            held = await self._version(version)
            own = [place for place, (candidates, _) in enumerate(waiting) if candidates.version == version]
            ranked = rank(held.ranker, self.device, [waiting[place][0] for place in own])
            for place, best in zip(own, ranked, strict=True):
                candidates, k = waiting[place]
                names = held.catalogue.items[best.items[:k]].tolist()
                answers[place] = {
                    "items": [
                        {"item": name, "score": round(score, 6)}
                        for name, score in zip(names, best.scores[:k].tolist(), strict=True)
                    ],
                    "source": "popular" if candidates.user is None else "personal",
                    "model_version": version,
                }
        return [answers[place] for place in range(len(waiting))]

    async def _version(self, version: str) -> Loaded:
        async with self.loading:
            if version not in self.held:
                loaded = await asyncio.to_thread(_load, self.args, version, self.device)
                self.held = {**dict(list(self.held.items())[1 - VERSIONS_KEPT :]), version: loaded}
            return self.held[version]

    def check_health(self) -> None:
        """Called by Ray Serve; raising has the replica replaced."""
        held = next(iter(self.held.values()))
        some = Candidates(0, np.arange(min(2, len(held.catalogue.items))), np.zeros(2, np.float32))
        (found,) = rank(held.ranker, self.device, [some])
        if not np.isfinite(found.scores).all():
            raise RuntimeError("the ranker no longer computes")


def _load(args: RecommendArgs, version: str, device: Any = None) -> Loaded:
    platform = read_platform()
    with explained(platform):
        connect(platform)
        return registry.load(args.model_name, version, device)


def _tune(batched: Any, args: RecommendArgs) -> None:
    batched.set_max_batch_size(args.max_batch_size)
    batched.set_batch_wait_timeout_s(args.batch_wait_timeout_s)
