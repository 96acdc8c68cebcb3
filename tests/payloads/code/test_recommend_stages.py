"""The deployments of the recommender as plain objects behind their ingress, without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import torch
from shelf import TABLE

from payloads.recommend.registry import Loaded
from payloads.serving.recommend import stages
from payloads.serving.recommend.app import Recommend
from payloads.serving.recommend.schemas import RecommendArgs


class Likes(torch.nn.Module):
    """Scores an item by its position, or by the opposite."""

    def __init__(self, sign: int) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        return self.sign * pairs[:, 1:].float()


VERSIONS = {"1": Loaded(TABLE, Likes(-1), "1")}


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The versions that were loaded, in order."""
    found: list[str] = []

    def load(_args: RecommendArgs, version: str, _device: Any = None) -> Loaded:
        found.append(version)
        return VERSIONS[version]

    monkeypatch.setattr(stages, "_load", load)
    context = SimpleNamespace(get_assigned_resources=lambda: {"CPU": 1})
    monkeypatch.setattr(stages.ray, "get_runtime_context", lambda: context)
    # Batching asks its replica for this one number.
    replica = SimpleNamespace(_deployment_config=SimpleNamespace(max_ongoing_requests=256))
    monkeypatch.setattr(stages.serve, "get_replica_context", lambda: replica)
    return found


class Method:
    """A handle's method without Ray: arguments that are promises are kept before the call, as Ray does."""

    def __init__(self, call: Callable[..., Awaitable[Any]]) -> None:
        self.call = call

    async def remote(self, *arguments: Any) -> Any:
        return await self.call(*[await each if asyncio.iscoroutine(each) else each for each in arguments])


# One event loop for all, as in a replica: Serve's batches belong to the loop in which the first was made.
RUNNER = asyncio.Runner()


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    RUNNER.close()


def ask(path: str, **body: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        args = RecommendArgs(model_version="1", candidates=4, most=3, deadline_s=60)
        retrieve, rank = stages.Retrieve(args), stages.Rank(args)
        handles: Any = [
            SimpleNamespace(find=Method(retrieve.find), card=Method(retrieve.card)),
            SimpleNamespace(order=Method(rank.order)),
        ]
        api = Recommend(args, *handles).__serve_build_asgi_app__()
        transport = httpx.ASGITransport(api, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request("POST" if body else "GET", path, json=body or None)

    return RUNNER.run(go())


def test_candidates_are_found_then_ranked_then_cut_to_k(loads: list[str]):
    answer = ask("/recommend", user="u2", k=2, exclude=["i5"]).json()
    # The nearest four of the others are i4 to i1; the ranker likes low positions.
    assert [each["item"] for each in answer["items"]] == ["i1", "i2"]
    assert (answer["source"], answer["model_version"]) == ("personal", "1")


def test_an_unknown_user_and_too_large_a_k(loads: list[str]):
    answer = ask("/recommend", user="nobody", k=3).json()
    assert [each["item"] for each in answer["items"]] == ["i1", "i3", "i5"]
    assert answer["source"] == "popular"
    assert ask("/recommend", user="u0", k=4).status_code == 422
    assert ask("/model").json()["items"] == 6
