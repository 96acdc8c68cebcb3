"""Continuous training on real Ray, S3 and MLflow: what is new is trained on once, and nothing worse is registered."""

from __future__ import annotations

import mlflow
import pytest
from drivers import Output, drive
from services import BUCKET, Mlflow

from payloads.common.settings import read_platform
from payloads.common.storage import Storage, open_storage
from payloads.continuous import train

ROOT = f"s3://{BUCKET}/continuous"
MODEL = "digits-continuous"
DATASET = "continuous/digits"
SMALL = {"model_name": MODEL, "hidden": 128, "depth": 2, "epochs": 8, "lr": 0.003, "dropout": 0.1, "num_workers": 1}


@pytest.fixture(autouse=True)
def own_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANTA_STORAGE", ROOT)


@pytest.fixture(scope="module")
def client(mlflow_server: Mlflow) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(mlflow_server.url, mlflow_server.url)


@pytest.fixture(scope="module")
def storage(ray_cluster: str) -> Storage:
    return open_storage(read_platform().model_copy(update={"storage": ROOT}))


def run(**flags: object) -> Output:
    output = drive(train.main, run_name="nightly", **{**SMALL, **flags})
    assert output.status == 0, output.text
    return output


@pytest.fixture(scope="module")
def first(storage: Storage) -> Output:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MANTA_STORAGE", ROOT)
        return run(sample_days=1, gate_accuracy=0.9)


def test_thin(first: Output) -> None:
    print(first.text)
    assert first.result["outcome"] == "registered"
    again = run(gate_accuracy=0.9)
    print(again.text)
    second = run(gate_accuracy=0.9, sample_days=2)
    print(second.text)
