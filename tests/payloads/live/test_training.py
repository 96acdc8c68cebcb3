"""Training on real Ray, S3 and MLflow: finished, repeated, killed, starved of its servers."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import mlflow
import psutil
import pytest
from drivers import Output, train, train_until
from mlflow.entities import LoggedModelStatus
from services import BUCKET, S3, Mlflow

from payloads.common.errors import PayloadError
from payloads.common.tracking import METRICS, RESULT_TAG
from payloads.training.settings import TrainSettings

MODEL = "digits"


@pytest.fixture(scope="module")
def client(mlflow_server: Mlflow) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(mlflow_server.url, mlflow_server.url)


@pytest.fixture(scope="module")
def first(ray_cluster: str) -> Output:
    """The first run of all: its model becomes the champion."""
    return train(run_name="first")


def losses(client: mlflow.MlflowClient, run_id: str) -> list[tuple[int, float]]:
    """Every logged loss: a point that is there twice shows."""
    return sorted((metric.step, metric.value) for metric in client.get_metric_history(run_id, "loss"))


def only_run(client: mlflow.MlflowClient, name: str) -> Any:
    """The one MLflow run of a training run: a second one is a failure."""
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'")
    return run


def models_of(client: mlflow.MlflowClient, run: Any) -> list[Any]:
    found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    return [model for model in found if model.status == LoggedModelStatus.READY]


def test_a_run_ends_with_a_registered_champion(first: Output, client: mlflow.MlflowClient):
    assert first.status == 0, first.text
    assert first.epochs == [1, 2, 3, 4, 5, 6]
    assert first.result["registered"] is True
    assert first.result["accuracy"] >= 0.95
    champion = client.get_model_version_by_alias(MODEL, "champion")
    assert str(champion.version) == first.result["version"]
    assert champion.run_id == first.result["run_id"]


def test_nothing_but_progress_and_the_result_is_printed(first: Output):
    """Warnings of libraries may come, but the lines that people wait for must not drown."""
    others = [line for line in first.lines if not line.startswith(("progress: ", "result: "))]
    assert len(others) < 10, "\n".join(others)


def test_mlflow_knows_what_ran_and_how_it_went(first: Output, client: mlflow.MlflowClient):
    run = only_run(client, "first")
    assert run.info.status == "FINISHED"
    assert run.data.params["hidden"] == "256"
    assert {"manta.bundle", "manta.image", "manta.dataset", "manta.ray_job", "manta.stack"} <= set(run.data.tags)
    for name in METRICS:
        steps = [metric.step for metric in client.get_metric_history(run.info.run_id, name)]
        assert sorted(steps) == [1, 2, 3, 4, 5, 6], name
    assert run.data.metrics["test_rows"] == pytest.approx(270, abs=5)
    info = mlflow.models.get_model_info(f"models:/{MODEL}/{first.result['version']}")
    assert info.signature is not None
    assert info.signature.inputs.inputs[0].shape == (-1, 64), "any number of rows, not the example's"


def test_only_the_best_checkpoints_and_the_newest_are_kept(first: Output, s3: S3):
    folders = {key.split("/")[3] for key in s3.keys("payloads/runs/first-") if "/epoch-" in key}
    assert 3 <= len(folders) <= 4, folders
    assert "epoch-00006" in folders, "the newest is what a retry resumes from"


def test_a_finished_run_reports_its_result_again_and_does_nothing(first: Output, client: mlflow.MlflowClient):
    again = train(run_name="first")
    assert again.status == 0, again.text
    assert again.result == first.result
    assert again.epochs == []
    run = only_run(client, "first")
    assert len(models_of(client, run)) == 1
    assert len(client.search_model_versions(f"name = '{MODEL}' and run_id = '{run.info.run_id}'")) == 1


@pytest.mark.parametrize("damaged", [False, True], ids=["whole", "damaged"])
def test_a_driver_killed_midway_goes_on_as_if_nothing_had_happened(
    first: Output, ray_cluster: str, client: mlflow.MlflowClient, s3: S3, damaged: bool
):
    """Same seed, same losses to the last bit: weights, optimizer, schedule, dropout and batch order all come back.

    Also when the newest checkpoints have a flipped bit: they are known by their digest, and the one before is used. All
    but the oldest are flipped, because the newest may not be recorded yet when the driver dies.
    """
    name = f"killed-{damaged}".lower()
    killed = train_until(ray_cluster, lambda line: line.startswith("progress: epoch 3/"), run_name=name)
    assert killed.status == -signal.SIGKILL, killed.text
    oldest, *newer = sorted(key for key in s3.keys(f"payloads/runs/{name}-") if key.endswith("state.pt"))
    assert newer, f"only {oldest} was there when the driver died"
    for key in newer if damaged else ():
        flip(s3, key)
    resumed = train(run_name=name)
    assert resumed.status == 0, resumed.text
    assert resumed.epochs[0] >= (2 if damaged else 4), "epochs with a whole checkpoint are not trained again"
    assert resumed.epochs[-1] == 6
    assert any("damaged checkpoints were passed over" in line for line in resumed.lines) is damaged, resumed.text
    assert losses(client, only_run(client, name).info.run_id) == losses(client, first.result["run_id"])
    assert resumed.result["accuracy"] == first.result["accuracy"]


def flip(s3: S3, key: str) -> None:
    """Change one bit in the middle of an object."""
    content = bytearray(s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read())
    content[len(content) // 2] ^= 1
    s3.client().put_object(Bucket=BUCKET, Key=key, Body=bytes(content))


def test_training_that_no_longer_gets_better_ends(first: Output, client: mlflow.MlflowClient):
    output = train(run_name="patient", patience=1, epochs=40, lr=0.3, gate_accuracy=0.01)
    assert output.status == 0, output.text
    assert 2 <= output.epochs[-1] < 40
    history = [
        metric.value
        for metric in sorted(
            client.get_metric_history(output.result["run_id"], "validation_loss"), key=lambda metric: metric.step
        )
    ]
    assert history[-1] >= min(history[:-1]), "the last epoch was no better"
    assert history[:-1] == sorted(history[:-1], reverse=True), "and every one before it was"


def test_a_worker_killed_midway_costs_one_restart(first: Output, client: mlflow.MlflowClient):
    struck = threading.Event()

    def strike(line: str) -> None:
        if line.startswith("progress: epoch 2/") and not struck.is_set():
            struck.set()
            os.kill(training_workers()[0], signal.SIGKILL)

    output = train(strike, run_name="struck")
    assert output.status == 0, output.text
    assert struck.is_set()
    assert any("failed (" in line for line in output.lines), "the failure is told"
    assert sorted(set(output.epochs)) == [1, 2, 3, 4, 5, 6]
    run = only_run(client, "struck")
    assert losses(client, run.info.run_id) == losses(client, first.result["run_id"]), "each epoch counts once"


def test_servers_that_go_away_for_a_while_are_waited_for(
    first: Output, client: mlflow.MlflowClient, s3: S3, mlflow_server: Mlflow
):
    away = threading.Event()
    back = threading.Timer(8, lambda: (s3.start(), mlflow_server.start()))

    def take_both_away(line: str) -> None:
        if line.startswith("progress: epoch 2/") and not away.is_set():
            away.set()
            s3.stop()
            mlflow_server.stop()
            back.start()

    output = train(take_both_away, run_name="starved")
    back.join()
    assert away.is_set()
    assert output.status == 0, output.text
    assert not any("failed (" in line for line in output.lines), "an outage must not use up the failure budget"
    assert output.epochs == [1, 2, 3, 4, 5, 6]
    assert losses(client, only_run(client, "starved").info.run_id) == losses(client, first.result["run_id"])


@pytest.mark.parametrize(
    ("name", "gate", "reason"),
    [("bad", 0.95, "is below the gate of 0.9500"), ("worse", 0.01, "is below the champion's")],
)
def test_a_worse_challenger_is_kept_but_not_registered(
    first: Output, client: mlflow.MlflowClient, name: str, gate: float, reason: str
):
    before = client.get_model_version_by_alias(MODEL, "champion").version
    output = train(run_name=name, gate_accuracy=gate, epochs=1, lr=1e-6)
    assert output.status == 0, "a model that fails the gate is a result, not a failure"
    assert output.result["registered"] is False
    assert output.result["version"] is None
    assert reason in output.result["reason"]
    assert client.get_model_version_by_alias(MODEL, "champion").version == before
    assert len(models_of(client, only_run(client, name))) == 1


def test_a_run_cut_off_before_its_result_was_noted_registers_once(first: Output, client: mlflow.MlflowClient):
    """As if killed after the alias was set: what the first attempt left is found, not made again."""
    run = only_run(client, "first")
    client.delete_tag(run.info.run_id, RESULT_TAG)
    client.update_run(run.info.run_id, status="RUNNING")
    again = train(run_name="first")
    assert again.status == 0, again.text
    assert again.epochs == []
    assert again.result["version"] == first.result["version"]
    assert len(models_of(client, run)) == 1
    assert only_run(client, "first").info.status == "FINISHED"


def test_streamed_shards_learn_as_cached_ones_do(first: Output):
    output = train(run_name="streamed", cache_shard="false", epochs=2)
    assert output.status == 0, output.text
    assert output.epochs == [1, 2]
    assert output.result["accuracy"] > 0.8


def test_a_run_without_room_is_refused_with_what_to_change(ray_cluster: str):
    from payloads.training.fit import check_room

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
    mlflow_server: Mlflow, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
):
    monkeypatch.setenv("MANTA_PATIENCE_S", "1")
    monkeypatch.setenv(variable, value)
    output = train(run_name="lost")
    assert output.status == 1
    (line,) = [line for line in output.lines if line.startswith("error: ")]
    assert words in line
    assert "Traceback" not in output.text


def training_workers() -> list[int]:
    """Process ids of Ray Train workers under this test's own Ray."""
    return [
        child.pid
        for child in psutil.Process().children(recursive=True)
        if any("RayTrainWorker" in part for part in child.cmdline())
    ]
