"""Searches on real Ray, S3 and MLflow: stopped early, struck, killed, and a population that learns from itself."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from typing import Any

import mlflow
import psutil
import pytest
from drivers import Output, drive, drive_until
from services import BUCKET, S3, Mlflow

from payloads.common.settings import read_platform
from payloads.common.storage import open_storage
from payloads.common.tracking import find_or_create
from payloads.tuning import search, tune
from payloads.tuning.record import TAKEN_OVER
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


def test_the_known_good_point_is_tried_first(searched: Searched, client: mlflow.MlflowClient, s3: S3):
    tried = {
        run.info.run_name.removeprefix("trial-"): {name: float(run.data.params[name]) for name in KNOWN_GOOD}
        for run in children(client, searched.result["run_id"])
    }
    folders = {key.split("/")[3] for key in s3.keys("payloads/tuning/searched-") if "/trial_" in key}
    # Tune numbers trials in the order in which they are drawn: trial_<id>_<number>_<hyperparameters>.
    numbers = {int(folder.split("_")[2]): folder.split("_")[1] for folder in folders}
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    assert tried[numbers[1]] == KNOWN_GOOD
    assert list(tried.values()).count(KNOWN_GOOD) == 1, tried


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


def ended_in_state(s3: S3, name: str) -> set[str]:
    """Ids of the trials that have ended by the state of the search from which a restarted driver goes on."""
    client = s3.client()
    found = client.list_objects_v2(Bucket=BUCKET, Prefix=f"payloads/tuning/{name}-", MaxKeys=1000).get("Contents", [])
    states = sorted(entry["Key"] for entry in found if "/experiment_state-" in entry["Key"])
    if not states:
        return set()
    try:
        state = json.loads(client.get_object(Bucket=BUCKET, Key=states[-1])["Body"].read())
    except ValueError:  # Tune writes it anew while it is being uploaded; the next upload is whole
        return set()
    trials = [json.loads(trial) for trial, _ in state["trial_data"]]
    return {trial["trial_id"] for trial in trials if trial["status"] == "TERMINATED"}


def test_a_state_that_was_cut_off_is_none_to_go_on_from(mlflow_server: Mlflow):
    storage = open_storage(read_platform())
    for name, content in {"tuner.pkl": b"x", "experiment_state-1.json": b"{}"}.items():
        storage.write(f"tuning/cut/{name}", content)
    assert search.started_before(storage, "cut")
    storage.write("tuning/cut/experiment_state-2.json", b"")
    assert not search.started_before(storage, "cut")
    assert not search.started_before(storage, "never")


def only_search(client: mlflow.MlflowClient, name: str) -> Any:
    experiment = client.get_experiment_by_name("digits").experiment_id
    (found,) = client.search_runs([experiment], f"attributes.run_name = '{name}'")
    return found


def killed_with_some_ended(address: str, s3: S3) -> tuple[str, set[str]]:
    """Name of a search whose driver was killed, and the ids of its trials that had ended by its last state.

    A driver that is killed while it uploads the state can leave half of one, which the test above is about: then there
    is another search.
    """
    for name in ("killed", "killed-again"):
        killed = drive_until(
            MODULE, address, when=lambda name=name: bool(ended_in_state(s3, name)), run_name=name, **SMALL
        )
        assert killed.status == -signal.SIGKILL, killed.text
        ended = ended_in_state(s3, name)
        if ended:
            return name, ended
    raise AssertionError("two searches in a row left half a state")


def test_a_search_whose_driver_is_killed_goes_on_where_it_was(
    ray_cluster: str, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch, s3: S3
):
    monkeypatch.setenv("TUNE_GLOBAL_CHECKPOINT_S", "0.5")
    name, ended = killed_with_some_ended(ray_cluster, s3)
    parent = only_search(client, name).info.run_id
    before = {run.info.run_id: history(client, run, "loss") for run in children(client, parent)}

    resumed = drive(tune.main, run_name=name, **SMALL)
    assert resumed.status == 0, resumed.text
    assert resumed.result["run_id"] == parent
    again = {trial for trial in ended for line in resumed.lines if trial in line}
    assert not again, f"trials that had ended are not done again:\n{resumed.text}"
    after = children(client, parent)
    assert len(after) == SMALL["samples"], "trials of the first attempt count"
    assert {run.info.status for run in after} == {"FINISHED"}
    assert set(before) <= {run.info.run_id for run in after}
    for run in after:
        found = history(client, run, "loss")
        assert sorted(found) == list(range(1, len(found) + 1)), "no epoch is lost"
        known = before.get(run.info.run_id, {})
        assert {step: found[step] for step in known} == known


def test_a_population_takes_over_what_is_better_also_when_its_driver_is_killed(
    ray_cluster: str, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TUNE_GLOBAL_CHECKPOINT_S", "0.5")
    # Two at a time: members take turns.
    herd = {"search": "pbt", "samples": 4, "epochs": 8, "perturb_every": 2, "cpus_per_worker": 2, "model_name": "herd"}
    flags = {**SMALL, **herd, "run_name": "population"}
    killed = drive_until(MODULE, ray_cluster, lambda line: "goes on after epoch" in line, **flags)
    assert killed.status == -signal.SIGKILL, killed.text
    resumed = drive(tune.main, **flags)
    assert resumed.status == 0, resumed.text
    assert resumed.result["registered"] is True, resumed.result["reason"]
    assert resumed.result["failed"] == 0

    runs = {run.info.run_name.removeprefix("trial-"): run for run in children(client, resumed.result["run_id"])}
    assert len(runs) == 4
    assert all(run.info.status == "FINISHED" for run in runs.values())
    losses = {name: points(client, run, "validation_loss") for name, run in runs.items()}
    assert all(found[-1][0] == 8 for found in losses.values()), "every member came to the last epoch"
    assert resumed.result["validation_loss"] == pytest.approx(min(loss for each in losses.values() for _, loss in each))
    gains: list[float] = []
    for name, run in runs.items():
        for tag, donor in run.data.tags.items():
            if not tag.startswith(TAKEN_OVER):
                continue
            epoch = int(tag.removeprefix(TAKEN_OVER))
            assert donor in runs
            assert donor != name
            mine, theirs = settings_at(client, run, epoch + 1), settings_at(client, runs[donor], epoch)
            assert mine.isdisjoint(theirs), "with other hyperparameters than the one it learns from"
            steps = [step for step, _ in losses[name]]
            place = len(steps) - 1 - steps[::-1].index(epoch + 1)
            gains.append(losses[name][place][1] / losses[name][place - 1][1])
    assert gains, resumed.text
    assert min(gains) < 0.7, "with the other's weights its loss falls as no epoch of its own would have let it"


def points(client: mlflow.MlflowClient, run: Any, metric: str) -> list[tuple[int, float]]:
    """Steps and values in the order in which they came; who takes over weights of fewer epochs goes back."""
    found = client.get_metric_history(run.info.run_id, metric)
    return [(point.step, point.value) for point in sorted(found, key=lambda point: (point.timestamp, point.step))]


def settings_at(client: mlflow.MlflowClient, run: Any, epoch: int) -> set[tuple[float, float]]:
    """Learning rate and dropout of a member at an epoch, as often as it had that epoch."""
    both = zip(points(client, run, "learning_rate"), points(client, run, "dropout"), strict=True)
    return {(rate, dropout) for (step, rate), (_, dropout) in both if step == epoch}


def test_trials_of_a_search_that_gives_up_do_not_seem_to_go_on(
    client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # who gives up is no longer patient
    parent = find_or_create(client, "given-up", "given-up", "given-up")
    ended = find_or_create(client, "given-up", "given-up/1", "trial-1", parent.id)
    under_way = find_or_create(client, "given-up", "given-up/2", "trial-2", parent.id)
    ended.finish("{}")
    parent.abandon("KILLED")
    statuses = [client.get_run(run.id).info.status for run in (parent, ended, under_way)]
    assert statuses == ["KILLED", "FINISHED", "KILLED"]
