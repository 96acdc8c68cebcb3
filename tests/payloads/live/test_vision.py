"""The training of the scene models on real Ray, S3 and MLflow: killed, resumed, registered."""

from __future__ import annotations

import io

import mlflow
import numpy as np
import pytest
import torch
from drivers import Output, drive, drive_until
from services import BUCKET, S3, Mlflow

from payloads.common.settings import read_platform
from payloads.common.storage import open_storage
from payloads.vision import fit, scenes, train
from payloads.vision.scenes import CANVAS
from payloads.vision.settings import VisionSettings

MODULE = "payloads.vision.train"
TINY = {"epochs": 3, "scenes": 48, "test_scenes": 20, "detector_width": 8, "reader_width": 4, "experiment": "tiny"}
# Three epochs of 48 scenes make no good model; what passes here is the way through the gate.
OPEN = {"gate_f1": 0, "gate_accuracy": 0, "gate_points": 99}


@pytest.fixture(scope="module")
def resumed(ray_cluster: str, s3: S3) -> Output:
    """A run whose driver was killed when the first checkpoint was there, and that was started again."""

    def some_epoch_is_done() -> bool:
        return any(key.endswith("detector.pt") for key in s3.keys("payloads/vision/scenes-run-"))

    flags = {"run_name": "scenes-run", **TINY, **OPEN}
    killed = drive_until(MODULE, ray_cluster, when=some_epoch_is_done, **flags)
    assert killed.status == -9, killed.text
    return drive(train.main, **flags)


@pytest.fixture(scope="module")
def client(mlflow_server: Mlflow) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(mlflow_server.url, mlflow_server.url)


def test_both_models_are_champions_and_take_any_number(resumed: Output, client: mlflow.MlflowClient):
    assert resumed.status == 0, resumed.text
    for name, shape in (("detector", (1, CANVAS, CANVAS)), ("reader", (1, 24, 24))):
        assert resumed.result[name]["registered"] is True
        version = client.get_model_version_by_alias(f"scenes-{name}", "champion")
        assert version.version == resumed.result[name]["version"]
        loaded = mlflow.pytorch.load_model(f"models:/scenes-{name}@champion")
        for count in (1, 5):
            assert len(loaded(torch.zeros(count, *shape))) == count


def test_no_epoch_is_trained_twice(resumed: Output, client: mlflow.MlflowClient):
    before = [int(line.split(" epochs, ")[1].split()[0]) for line in resumed.lines if " epochs, " in line]
    assert len(before) == 2
    assert max(before) >= 1, resumed.text
    children = client.search_runs(
        [client.get_experiment_by_name("tiny").experiment_id], "tags.`manta.run` = 'scenes-run'"
    )
    logged = [client.get_metric_history(run.info.run_id, "loss") for run in children]
    assert sorted([point.step for point in each] for each in logged) == [[], [1, 2, 3], [1, 2, 3]]


def test_a_resumed_model_is_the_one_that_was_never_interrupted(resumed: Output, s3: S3, ray_cluster: str):
    """And one whose checkpoint is damaged begins anew and comes to the same."""
    settings = VisionSettings(run_name="scenes-run", **{**TINY, **OPEN})
    source, storage = scenes.glyphs("train", settings.split_seed), open_storage(read_platform())
    (key,) = [key for key in s3.keys("payloads/vision/scenes-run-") if key.endswith("reader.pt")]
    kept = torch.load(io.BytesIO(s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()), weights_only=True)
    storage.write("vision/damaged/reader.pt", b"not a checkpoint")
    again = fit.fit(storage, "vision/damaged", settings, source, "reader")
    assert again.resumed == 0
    np.testing.assert_allclose(again.losses, kept["losses"], rtol=1e-4)


def test_a_run_that_has_finished_only_reports_again(resumed: Output):
    again = drive(train.main, run_name="scenes-run", **{**TINY, **OPEN})
    assert again.result == resumed.result
    assert "already finished" in again.text
