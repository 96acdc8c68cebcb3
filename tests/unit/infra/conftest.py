"""Small valid settings and contract, which the tests bend one at a time."""

from __future__ import annotations

from typing import Any

import pytest

from infra.contract import Contract
from infra.settings import ServeSettings, TrainSettings
from infra.stack import StackName

IMAGE = "localhost/manta/ray@sha256:" + "a" * 64


@pytest.fixture
def contract() -> Contract:
    return Contract(
        namespace="ray",
        service_account="ray",
        auth_secret="ray-auth",
        credentials_secret="s3-credentials",
        storage="s3://manta",
        s3_endpoint="http://s3.manta-system.svc.cluster.local:9000",
        s3_region="us-east-1",
        mlflow_uri="http://mlflow.manta-system.svc.cluster.local:5000",
        image=IMAGE,
        ray_version="2.60.0",
    )


def train_values(**changes: Any) -> dict[str, Any]:
    return {
        "entrypoint": "payloads.training.train",
        "workers": {"count": 2, "cpus": 2, "memory": "3Gi"},
        **changes,
    }


def serve_values(**changes: Any) -> dict[str, Any]:
    return {
        "name": "digits",
        "applications": [
            {
                "name": "digits",
                "importPath": "payloads.serving.classifier:app",
                "deployments": [{"name": "Classifier", "replicas": 2}],
            }
        ],
        "workers": {"count": 2, "cpus": 1, "memory": "3Gi"},
        **changes,
    }


@pytest.fixture
def train_settings() -> TrainSettings:
    return TrainSettings.model_validate(train_values())


@pytest.fixture
def serve_settings() -> ServeSettings:
    return ServeSettings.model_validate(serve_values())


@pytest.fixture
def train_stack() -> StackName:
    return StackName("train", "local")


@pytest.fixture
def serve_stack() -> StackName:
    return StackName("serve", "local")
