"""One S3 server, one MLflow server and one local Ray for all tests of this folder, and ended with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from services import BUCKET, S3, Mlflow

from tests.own_mlflow import default_restored

# Ray reads these when its processes start (reference: half the time of a short training on 2 cores).
RAY_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_ENABLE_STATE_ACTOR_RECONCILIATION": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray gives its workers niceness 15: beside anything else that works they would hardly run.
    "RAY_worker_niceness": "0",
    # On a machine that does other work as well, a Ray node takes longer to start than the 30 s it is given.
    "RAY_raylet_start_wait_time_s": "240",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="package")
def environment() -> Iterator[pytest.MonkeyPatch]:
    with default_restored(), pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="package")
def s3(environment: pytest.MonkeyPatch) -> Iterator[S3]:
    server = S3()
    for name, value in {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "MANTA_STORAGE": f"s3://{BUCKET}/payloads",
        "MANTA_PATIENCE_S": "60",
    }.items():
        environment.setenv(name, value)
    server.start()
    server.client().create_bucket(Bucket=BUCKET)
    yield server
    server.stop()


@pytest.fixture(scope="package")
def mlflow_server(
    s3: S3, environment: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mlflow]:
    server = Mlflow(tmp_path_factory.mktemp("mlflow"))
    environment.setenv("MLFLOW_TRACKING_URI", server.url)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="package")
def ray_cluster(s3: S3, mlflow_server: Mlflow, environment: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a Ray with four logical CPUs: two training workers and room for Ray Data."""
    for name, value in RAY_ENVIRONMENT.items():
        environment.setenv(name, value)
    environment.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).resolve().parents[3])]))
    import ray

    context = ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield context.address_info["gcs_address"]
    ray.shutdown()
