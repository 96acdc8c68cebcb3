"""Training on real Ray, S3 and MLflow: finished, repeated, killed, starved of its servers."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import Any

import mlflow
import psutil
import pytest
from drivers import Driver, train
from services import S3, Mlflow

from payloads.common.tracking import METRICS

MODEL = "digits"


@pytest.fixture(scope="module")
def client(mlflow_server: Mlflow) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(mlflow_server.url, mlflow_server.url)


@pytest.fixture(scope="module")
def first(ray_cluster: str) -> Driver:
    """The first run of all: its model becomes the champion."""
    return train(ray_cluster, run_name="first")


def history(client: mlflow.MlflowClient, run_id: str) -> dict[str, list[tuple[int, float]]]:
    return {
        name: sorted((metric.step, metric.value) for metric in client.get_metric_history(run_id, name))
        for name in METRICS
    }


def losses(client: mlflow.MlflowClient, run_id: str) -> list[tuple[int, float]]:
    return history(client, run_id)["loss"]


def runs(client: mlflow.MlflowClient, name: str) -> list[Any]:
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'"))


def test_a_run_ends_with_a_registered_champion(first: Driver, client: mlflow.MlflowClient):
    assert first.process.returncode == 0, first.output
    assert first.epochs == [1, 2, 3, 4, 5, 6]
    assert first.result["registered"] is True
    assert first.result["accuracy"] >= 0.95
    champion = client.get_model_version_by_alias(MODEL, "champion")
    assert str(champion.version) == first.result["version"]
    assert champion.run_id == first.result["run_id"]


def test_mlflow_knows_what_ran_and_how_it_went(first: Driver, client: mlflow.MlflowClient):
    (run,) = runs(client, "first")
    assert run.info.status == "FINISHED"
    assert run.data.params["hidden"] == "64"
    assert {"manta.bundle", "manta.image", "manta.dataset", "manta.ray_job", "manta.stack"} <= set(run.data.tags)
    for name, points in history(client, run.info.run_id).items():
        assert [step for step, _ in points] == [1, 2, 3, 4, 5, 6], name
    assert run.data.metrics["test_rows"] == pytest.approx(270, abs=5)
    info = mlflow.models.get_model_info(f"models:/{MODEL}/{first.result['version']}")
    assert info.signature is not None
    assert info.signature.inputs.inputs[0].shape == (-1, 64), "any number of rows, not the example's"


def test_only_the_best_checkpoints_and_the_newest_are_kept(first: Driver, s3: S3):
    folders = {key.split("/")[3] for key in s3.keys("payloads/runs/first-") if "/epoch-" in key}
    assert 3 <= len(folders) <= 4, folders
    assert "epoch-00006" in folders, "the newest is what a retry resumes from"


def test_a_finished_run_reports_its_result_again_and_does_nothing(
    first: Driver, ray_cluster: str, client: mlflow.MlflowClient
):
    again = train(ray_cluster, run_name="first")
    assert again.process.returncode == 0, again.output
    assert again.result == first.result
    assert again.epochs == []
    assert len(runs(client, "first")) == 1
    assert len(client.search_model_versions(f"name = '{MODEL}' and run_id = '{first.result['run_id']}'")) == 1


def test_a_driver_killed_midway_goes_on_as_if_nothing_had_happened(
    first: Driver, ray_cluster: str, client: mlflow.MlflowClient
):
    """Same seed, same losses to the last bit: weights, optimizer, schedule, dropout and batch order all come back."""

    def kill_after_three(driver: Driver, line: str) -> None:
        if line.startswith("progress: epoch 3/"):
            driver.kill()

    killed = train(ray_cluster, kill_after_three, run_name="killed")
    assert killed.process.returncode == -signal.SIGKILL
    resumed = train(ray_cluster, run_name="killed")
    assert resumed.process.returncode == 0, resumed.output
    assert resumed.epochs[0] >= 4, "epochs with a checkpoint are not trained again"
    assert resumed.epochs[-1] == 6
    (run,) = runs(client, "killed")
    assert losses(client, run.info.run_id) == losses(client, first.result["run_id"])
    assert resumed.result["accuracy"] == first.result["accuracy"]


def test_a_worker_killed_midway_costs_one_restart(first: Driver, ray_cluster: str, client: mlflow.MlflowClient):
    struck = threading.Event()

    def strike_after_two(_driver: Driver, line: str) -> None:
        if line.startswith("progress: epoch 2/") and not struck.is_set():
            struck.set()
            os.kill(training_workers()[0], signal.SIGKILL)

    driver = train(ray_cluster, strike_after_two, run_name="struck")
    assert driver.process.returncode == 0, driver.output
    assert struck.is_set()
    assert any("failed (" in line for line in driver.lines), "the failure is told"
    assert sorted(set(driver.epochs)) == [1, 2, 3, 4, 5, 6]
    (run,) = runs(client, "struck")
    assert losses(client, run.info.run_id) == losses(client, first.result["run_id"]), "each epoch counts once"


def test_servers_that_go_away_for_a_while_are_waited_for(
    first: Driver, ray_cluster: str, client: mlflow.MlflowClient, s3: S3, mlflow_server: Mlflow
):
    away = threading.Event()
    back = threading.Timer(12, lambda: (s3.start(), mlflow_server.start()))

    def take_both_away(_driver: Driver, line: str) -> None:
        if line.startswith("progress: epoch 2/") and not away.is_set():
            away.set()
            s3.stop()
            mlflow_server.stop()
            back.start()

    driver = train(ray_cluster, take_both_away, run_name="starved")
    back.join()
    assert away.is_set()
    assert driver.process.returncode == 0, driver.output
    assert not any("failed (" in line for line in driver.lines), "an outage must not use up the failure budget"
    assert driver.epochs == [1, 2, 3, 4, 5, 6]
    (run,) = runs(client, "starved")
    assert losses(client, run.info.run_id) == losses(client, first.result["run_id"])


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"epochs": 1, "lr": 1e-6}, "is below the gate of 0.9500"),
        ({"epochs": 1, "lr": 1e-6, "gate_accuracy": 0.01}, "is below the champion's"),
    ],
)
def test_a_worse_challenger_is_kept_but_not_registered(
    first: Driver, ray_cluster: str, client: mlflow.MlflowClient, flags: dict[str, Any], reason: str
):
    before = client.get_model_version_by_alias(MODEL, "champion").version
    driver = train(ray_cluster, run_name=f"worse-{len(flags)}", **flags)
    assert driver.process.returncode == 0, "a model that fails the gate is a result, not a failure"
    assert driver.result["registered"] is False
    assert driver.result["version"] is None
    assert reason in driver.result["reason"]
    assert client.get_model_version_by_alias(MODEL, "champion").version == before


def test_a_driver_killed_before_registration_registers_once(ray_cluster: str, client: mlflow.MlflowClient):
    """Killed when its model is logged: the second attempt finds that model instead of logging another."""

    def kill_at_last_epoch(driver: Driver, line: str) -> None:
        if line.startswith("progress: epoch 2/2"):
            threading.Thread(target=kill_when_logged, args=(driver,)).start()

    def kill_when_logged(driver: Driver) -> None:
        (run,) = runs(client, "late")
        while driver.process.poll() is None:
            if models_of(client, run.info.run_id):
                driver.kill()

    train(ray_cluster, kill_at_last_epoch, run_name="late", epochs=2, gate_accuracy=0.5)
    resumed = train(ray_cluster, run_name="late", epochs=2, gate_accuracy=0.5)
    assert resumed.process.returncode == 0, resumed.output
    assert resumed.epochs == []
    (run,) = runs(client, "late")
    assert len(models_of(client, run.info.run_id)) == 1
    assert run.info.status == "FINISHED"


def test_a_run_without_room_is_refused_with_what_to_change(ray_cluster: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("payloads.training.fit.ROOM_WAIT_S", 0)
    from payloads.common.errors import PayloadError
    from payloads.training.fit import check_room
    from payloads.training.settings import TrainSettings

    with pytest.raises(PayloadError, match="lower num_workers or cpus_per_worker"):
        check_room(TrainSettings(run_name="big", num_workers=4), wait_s=0)
    check_room(TrainSettings(run_name="fits", num_workers=2), wait_s=0)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1", "S3 bucket manta at http://127.0.0.1:1"),
        ("MANTA_STORAGE", "s3://nowhere/x", "S3 bucket nowhere"),
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:1", "MLflow server http://127.0.0.1:1"),
    ],
)
def test_a_server_that_stays_away_is_named_in_one_sentence(
    ray_cluster: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
):
    monkeypatch.setenv("MANTA_PATIENCE_S", "1")
    monkeypatch.setenv(variable, value)
    driver = train(ray_cluster, run_name="lost")
    assert driver.process.returncode == 1
    (line,) = [line for line in driver.lines if line.startswith("error: ")]
    assert words in line
    assert "Traceback" not in driver.output


def training_workers() -> list[int]:
    """Process ids of Ray Train workers under this test's own Ray."""
    return [
        child.pid
        for child in psutil.Process().children(recursive=True)
        if any("RayTrainWorker" in part for part in child.cmdline())
    ]


def models_of(client: mlflow.MlflowClient, run_id: str) -> list[Any]:
    run = client.get_run(run_id)
    found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    return [model for model in found if str(model.status) in ("READY", "LoggedModelStatus.READY")]


def test_results_are_json(first: Driver):
    assert json.loads(json.dumps(first.result)) == first.result
