"""The recommender on real Ray, S3 and MLflow: trained, registered, and served over HTTP by its own deployments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from drivers import Output, drive
from ray import serve

from payloads.common.settings import read_platform
from payloads.common.storage import open_storage
from payloads.common.tracking import connect
from payloads.recommend import dataset, registry, train
from payloads.recommend.dataset import Interactions
from payloads.recommend.interactions import World
from payloads.recommend.registry import Loaded
from payloads.serving.recommend.app import app

WORLD = World(users=500, items=300, history=25, seed=7)
SMALL = {"users": 500, "items": 300, "history": 25, "epochs": 3, "batch_size": 256, "num_workers": 2}


@pytest.fixture(scope="module")
def trained(ray_cluster: str) -> Output:
    return drive(train.main, run_name="recommended", **SMALL)


@pytest.fixture(scope="module")
def data(trained: Output) -> Interactions:
    return dataset.read(open_storage(read_platform()), WORLD.folder, held_out=2)


@pytest.fixture(scope="module")
def loaded(trained: Output) -> Loaded:
    connect(read_platform())
    return registry.load("recommend", trained.result["version"])


@pytest.fixture(scope="module")
def url(trained: Output, serve_url: str) -> Iterator[str]:
    serve.run(app({"candidates": 60, "most": 20, "deadline_s": 30}), name="recommend", route_prefix="/shop")
    yield f"{serve_url}/shop"
    serve.delete("recommend")


def ask(url: str, **body: Any) -> dict[str, Any]:
    answer = httpx.post(f"{url}/recommend", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def names(answer: dict[str, Any]) -> list[str]:
    return [each["item"] for each in answer["items"]]


def test_a_trained_recommender_beats_what_is_popular_and_is_registered(trained: Output):
    assert trained.status == 0, trained.text
    result = trained.result
    assert result["registered"], result["reason"]
    assert result["recall"] > 2 * result["popular_recall"] > 0
    assert trained.epochs == [1, 2, 3]
    version = connect(read_platform()).get_model_version_by_alias("recommend", "champion")
    assert (str(version.version), version.run_id) == (result["version"], result["run_id"])
    assert version.tags["recall"] == f"{result['recall']:.4f}"


def test_the_registered_ranker_takes_any_number_of_pairs(loaded: Loaded):
    import torch

    for rows in (1, 2, 7):
        assert loaded.ranker(torch.zeros(rows, 2, dtype=torch.int64)).shape == (rows, 1)


def test_a_known_user_gets_new_items_best_first(url: str, data: Interactions, trained: Output):
    for user in (0, 123, 499):
        answer = ask(url, user=data.users[user], k=20)
        scores = [each["score"] for each in answer["items"]]
        assert len(scores) == 20
        assert scores == sorted(scores, reverse=True)
        known = {
            data.items[item]
            for part in (data.train, data.validation, data.test)
            for item in part[part[:, 0] == user, 1]
        }
        assert len(known) == 25
        assert not known & set(names(answer)), "what the user has seen, the held-out items included"
        assert (answer["source"], answer["model_version"]) == ("personal", trained.result["version"])


def test_users_get_their_own_and_what_is_excluded_stays_away(url: str, data: Interactions):
    first, other = ask(url, user=data.users[0]), ask(url, user=data.users[1])
    assert names(first) != names(other)
    assert len(names(first)) == 10, "k is 10 where nothing is said"
    without = names(first)[:3]
    again = names(ask(url, user=data.users[0], exclude=[*without, "no-such-item"]))
    assert again[:7] == names(first)[3:]
    assert not set(without) & set(again)


def test_an_unknown_user_gets_what_is_popular(url: str, data: Interactions):
    answer = ask(url, user="nobody", k=5)
    counts = data.counts()
    assert answer["source"] == "popular"
    assert [counts[data.items.index(name)] for name in names(answer)] == sorted(counts.tolist(), reverse=True)[:5]


def test_the_card_says_what_is_served(url: str, trained: Output):
    card = httpx.get(f"{url}/model", timeout=30).json()
    assert card == {
        "model_name": "recommend",
        "model_version": trained.result["version"],
        "users": 500,
        "items": 300,
        "index": "flat",
    }


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [(b'{"user": "u1", "k": 21}', 422, "k: it is more than 20"), (b"{", 400, "not valid JSON")],
)
def test_a_bad_request_is_refused_in_one_sentence(url: str, content: bytes, status: int, words: str):
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{url}/recommend", content=content, headers=headers, timeout=30)
    assert answer.status_code == status
    assert words in answer.json()["error"]
