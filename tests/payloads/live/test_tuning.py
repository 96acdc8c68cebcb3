"""Searches on real Ray, S3 and MLflow: stopped early, struck, killed, and a population that learns from itself."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import Any

import mlflow
import psutil
import pytest
from drivers import Output, drive, drive_until
from services import S3, Mlflow

from payloads.tuning import tune
from payloads.tuning.space import KNOWN_GOOD

MODULE = "payloads.tuning.tune"
EPOCHS = 9
SMALL = {"samples": 6, "epochs": EPOCHS, "grace": 2, "num_workers": 2, "model_name": "tuned", "gate_accuracy": 0.8}


@pytest.fixture(scope="module")
def client(mlflow_server: Mlflow) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(mlflow_server.url, mlflow_server.url)


class Searched(Output):
    """A search's output, and the most trials that trained at once."""

    most_at_once = 0


@pytest.fixture(scope="module")
def searched(ray_cluster: str) -> Searched:
    """A search in which the trials' processes are killed on the way."""
    struck, ended = threading.Event(), threading.Event()
    seen: list[int] = []

    def strike(line: str) -> None:
        if line.startswith("progress: trial 1/") and not struck.is_set():
            struck.set()
            for process in trial_processes("ImplicitFunc"):
                os.kill(process, signal.SIGKILL)

    def look() -> None:
        while not ended.wait(0.1):
            seen.append(len(trial_processes("ImplicitFunc.train")))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        output = drive(tune.main, strike, run_name="searched", **SMALL)
    finally:
        ended.set()
        looking.join()
    assert struck.is_set(), output.text
    found = Searched()
    found.lines, found.status, found.most_at_once = output.lines, output.status, max(seen)
    return found


def trial_processes(title: str) -> list[int]:
    """Process ids of trials under this test's own Ray; Ray writes what an actor is doing into its process's title."""
    found: list[int] = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(title in part for part in child.cmdline()):
                found.append(child.pid)
    return found


def children(client: mlflow.MlflowClient, parent: str) -> list[Any]:
    experiment = client.get_run(parent).info.experiment_id
    return list(client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'", max_results=100))


def history(client: mlflow.MlflowClient, run: Any, metric: str) -> dict[int, float]:
    """Step -> value; a step that is there twice is a failure."""
    found = client.get_metric_history(run.info.run_id, metric)
    steps = {point.step: point.value for point in found}
    assert len(steps) == len(found), f"{metric} of {run.info.run_name} has a step twice"
    return steps


def test_a_search_ends_with_the_best_trials_model_registered(searched: Searched, client: mlflow.MlflowClient):
    assert searched.status == 0, searched.text
    result = searched.result
    assert result["trials"] == 6
    assert result["registered"] is True, result["reason"]
    champion = client.get_model_version_by_alias("tuned", "champion")
    assert champion.run_id == result["run_id"]
    losses = [min(history(client, run, "validation_loss").values()) for run in children(client, result["run_id"])]
    assert result["validation_loss"] == pytest.approx(min(losses)), "the best epoch of the best trial"


def test_trials_that_fall_behind_are_stopped_and_cost_little(searched: Searched, client: mlflow.MlflowClient):
    lengths = [len(history(client, run, "loss")) for run in children(client, searched.result["run_id"])]
    assert searched.result["stopped_early"] == sum(length < EPOCHS for length in lengths) >= 2
    assert min(lengths) >= 2, "nothing is stopped within its grace"
    assert max(lengths) == EPOCHS
    assert searched.result["epochs"] == sum(lengths) < searched.result["most_epochs"]


def test_the_known_good_point_is_tried(searched: Searched, client: mlflow.MlflowClient):
    tried = [
        {name: float(run.data.params[name]) for name in KNOWN_GOOD}
        for run in children(client, searched.result["run_id"])
    ]
    assert tried.count(KNOWN_GOOD) == 1, tried


def test_as_many_trials_run_at_once_as_workers_and_no_more(searched: Searched):
    assert searched.most_at_once == 2


def test_a_trial_whose_process_dies_is_tried_again(searched: Searched, client: mlflow.MlflowClient):
    assert any("failed and is tried again" in line for line in searched.lines), searched.text
    assert searched.result["failed"] == 0
    assert {run.info.status for run in children(client, searched.result["run_id"])} == {"FINISHED"}


def test_a_search_that_has_ended_reports_its_result_again(searched: Searched):
    again = drive(tune.main, run_name="searched", **{**SMALL, "num_workers": 1})
    assert again.status == 0, again.text
    assert again.result == searched.result


def test_a_search_whose_driver_is_killed_goes_on_where_it_was(
    ray_cluster: str, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch, s3: S3
):
    monkeypatch.setenv("TUNE_GLOBAL_CHECKPOINT_S", "0.5")
    killed = drive_until(MODULE, ray_cluster, lambda line: "trial 2/" in line, run_name="killed", **SMALL)
    assert killed.status == -signal.SIGKILL, killed.text
    (parent,) = client.search_runs(
        [client.get_experiment_by_name("digits").experiment_id], "attributes.run_name = 'killed'"
    )
    before = {run.info.run_id: history(client, run, "loss") for run in children(client, parent.info.run_id)}

    resumed = drive(tune.main, run_name="killed", **SMALL)
    assert resumed.status == 0, resumed.text
    assert resumed.result["run_id"] == parent.info.run_id
    after = children(client, parent.info.run_id)
    assert len(after) == 6, "trials of the first attempt count"
    assert set(before) <= {run.info.run_id for run in after}
    for run in after:
        found = history(client, run, "loss")
        assert sorted(found) == list(range(1, len(found) + 1)), "no epoch is lost"
        known = before.get(run.info.run_id, {})
        assert {step: found[step] for step in known} == known


def test_a_population_takes_over_what_is_better(ray_cluster: str, client: mlflow.MlflowClient):
    output = drive(
        tune.main, run_name="population", search="pbt", **{**SMALL, "samples": 4, "epochs": 8, "perturb_every": 2}
    )
    assert output.status == 0, output.text
    runs = children(client, output.result["run_id"])
    assert len(runs) == 4
    losses = {run.info.run_id: history(client, run, "validation_loss") for run in runs}
    rates = {run.info.run_id: history(client, run, "learning_rate") for run in runs}
    took_over = [
        (name, step)
        for name, found in rates.items()
        for step in range(2, 9)
        if step in found and step - 1 in found and found[step] != found[step - 1]
    ]
    assert took_over, f"nobody changed its learning rate: {rates}"
    # With the other's weights its loss falls as no single epoch of its own would have let it.
    name, step = max(took_over, key=lambda entry: losses[entry[0]][entry[1] - 1] - losses[entry[0]][entry[1]])
    assert losses[name][step] < 0.7 * losses[name][step - 1], losses
