"""Training by Lightning on real Ray, S3 and MLflow: logged, registered, loaded as what is served."""

from __future__ import annotations

from typing import Any

import mlflow
import pytest
import torch
from drivers import SMALL, Output, drive
from services import Mlflow

from payloads.common.tracking import METRICS
from payloads.lightning_training.train import main

FLAGS = {**SMALL, "epochs": 4, "model_name": "digits-lightning", "gate_accuracy": 0.9}


@pytest.fixture(scope="module")
def client(mlflow_server: Mlflow) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(mlflow_server.url, mlflow_server.url)


@pytest.fixture(scope="module")
def whole(ray_cluster: str) -> Output:
    output = drive(main, run_name="lightning", **FLAGS)
    assert output.status == 0, output.text
    return output


def history(client: mlflow.MlflowClient, output: Output, name: str) -> list[tuple[int, float]]:
    found = client.get_metric_history(output.result["run_id"], name)
    return sorted((metric.step, metric.value) for metric in found)


def test_what_lightning_registers_is_loaded_as_what_is_served(whole: Output, client: mlflow.MlflowClient):
    assert whole.epochs == [1, 2, 3, 4]
    for name in METRICS:
        assert [step for step, _ in history(client, whole, name)] == [1, 2, 3, 4], name
    model: Any = mlflow.pytorch.load_model("models:/digits-lightning@champion")
    assert whole.result["registered"] is True
    assert model(torch.zeros(5, 64)).shape == (5, 10)
