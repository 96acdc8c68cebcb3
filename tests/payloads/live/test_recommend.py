"""The recommender on real Ray, S3 and MLflow: trained and registered."""

from __future__ import annotations

import pytest
from drivers import Output, drive

from payloads.common.settings import read_platform
from payloads.common.tracking import connect
from payloads.recommend import registry, train
from payloads.recommend.registry import Loaded

SMALL = {"users": 500, "items": 300, "history": 25, "epochs": 3, "batch_size": 256, "num_workers": 2}


@pytest.fixture(scope="module")
def trained(ray_cluster: str) -> Output:
    return drive(train.main, run_name="recommended", **SMALL)


@pytest.fixture(scope="module")
def loaded(trained: Output) -> Loaded:
    connect(read_platform())
    return registry.load("recommend", trained.result["version"])


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
