"""What a recommender must do, whatever its loss says. The world that it learns is made: the best possible is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from shop import WORLD, Shop, open_shop

from payloads.recommend.evaluate import Quality, evaluate
from payloads.recommend.retrieve import Query, Retriever

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return open_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def quality(shop: Shop) -> Quality:
    return evaluate(Retriever(shop.catalogue), shop.network.ranker, shop.data, 10, 100, CPU)


def best_possible(shop: Shop) -> float:
    """Recall of the first ten by the utility that the interactions were drawn from."""
    number = np.array([int(name[1:]) for name in shop.data.items])
    parts = np.concatenate([shop.data.train, shop.data.validation])
    found = []
    for user in range(0, len(shop.data.users), 5):
        utility = WORLD.utility(int(shop.data.users[user][1:]))[number]
        utility[parts[parts[:, 0] == user, 1]] = -np.inf
        wanted = shop.data.test[shop.data.test[:, 0] == user, 1]
        found.append(np.isin(wanted, np.argsort(-utility)[:10]).mean())
    return float(np.mean(found))


def test_recall_is_far_above_popularity_and_near_the_best_possible(shop: Shop, quality: Quality):
    assert quality.users == 600
    assert quality.recall > 3 * quality.popular > 0
    assert quality.recall > 0.75 * best_possible(shop)


def test_the_ranker_costs_nothing_of_what_retrieval_found(quality: Quality):
    assert quality.recall > 0.95 * quality.retrieved
    assert quality.reachable > quality.recall


def test_a_graph_index_finds_almost_what_the_exact_one_finds(shop: Shop):
    queries = [Query(user, 20) for user in shop.data.users[:200]]
    exact, graph = Retriever(shop.catalogue).find(queries), Retriever(shop.catalogue, "hnsw").find(queries)
    shared = [np.isin(one.items, other.items).mean() for one, other in zip(exact, graph, strict=True)]
    assert np.mean(shared) > 0.95
