"""MLflow: one tracking run for each training run, however often its driver is started.

The run is found again by a tag, metrics are written once per epoch, and a server that is away for a while is waited
for without stopping the training.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from requests.exceptions import RequestException

from payloads.common.errors import PayloadError
from payloads.common.settings import Platform
from payloads.common.storage import first_line

KEY_TAG = "manta.run_key"
RESULT_TAG = "manta.result"
METRICS = ("loss", "validation_loss", "accuracy", "learning_rate", "seconds")
# MLflow waits 2, 4, 8 ... seconds between tries and caps nothing: n retries take about 2^(n+1) seconds.
BACKOFF_FACTOR_S = 2


def connect(platform: Platform) -> mlflow.MlflowClient:
    """A client of the platform's server whose every call waits out an outage of about `patience_s`."""
    retries = max(1, math.ceil(math.log2(max(platform.patience_s, 1) + 2)) - 1)
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = str(retries)
    os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"] = str(BACKOFF_FACTOR_S)
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "60"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    mlflow.set_tracking_uri(platform.mlflow_uri)
    mlflow.set_registry_uri(platform.mlflow_uri)
    return mlflow.MlflowClient(platform.mlflow_uri, platform.mlflow_uri)


@contextlib.contextmanager
def explained(platform: Platform) -> Iterator[None]:
    """Turn MLflow's own errors into one sentence that names the server and the setting."""
    try:
        yield
    except (MlflowException, RequestException) as error:
        server = f"MLflow server {platform.mlflow_uri} (MLFLOW_TRACKING_URI)"
        text = first_line(error)
        if "Invalid Host header" in str(error):
            raise PayloadError(f"{server} refuses this host name: add it to the server's --allowed-hosts") from error
        if "Max retries exceeded" in str(error) or isinstance(error, RequestException):
            raise PayloadError(
                f"{server} did not answer for {platform.patience_s:g} s: bring it back and start the run again, "
                "it goes on from its last checkpoint"
            ) from error
        raise PayloadError(f"{server} refused a request: {text}") from error


class TrackedRun:
    """The MLflow run of one training run."""

    def __init__(self, client: mlflow.MlflowClient, run: Run) -> None:
        self.client = client
        self.id: str = run.info.run_id
        self.experiment_id: str = run.info.experiment_id
        self.result: str | None = run.data.tags.get(RESULT_TAG) if run.info.status == "FINISHED" else None

    def start(self, parameters: dict[str, Any], tags: dict[str, str]) -> None:
        """Mark the run as running; parameters of an earlier attempt are equal by construction of the key."""
        self.client.update_run(self.id, status="RUNNING")
        self.client.log_batch(
            self.id,
            params=[Param(name, str(value)) for name, value in parameters.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )

    def logged_epochs(self) -> set[int]:
        return {metric.step for metric in self.client.get_metric_history(self.id, METRICS[0])}

    def log_epoch(self, metrics: dict[str, Any], timestamp_ms: int) -> None:
        """All metrics of one epoch in one request, so an epoch is logged whole or not at all."""
        step = int(metrics["epoch"])
        self.client.log_batch(
            self.id, metrics=[Metric(name, float(metrics[name]), timestamp_ms, step) for name in METRICS]
        )

    def finish(self, result: str) -> None:
        """Record the result, then the status: `result` counts only with both."""
        self.client.set_tag(self.id, RESULT_TAG, result)
        self.client.set_terminated(self.id, "FINISHED")

    def abandon(self, status: str) -> None:
        """Best effort to end the run, and those under way below it, as FAILED or KILLED: the reason for failing may be
        that MLflow is away."""
        with contextlib.suppress(Exception):
            os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
            self.client.set_terminated(self.id, status)
            below = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self.id}' and attributes.status = 'RUNNING'"
            while found := self.client.search_runs([self.experiment_id], below):
                for run in found:
                    self.client.set_terminated(run.info.run_id, status)


def find_or_create(
    client: mlflow.MlflowClient, experiment: str, key: str, name: str, parent: str | None = None
) -> TrackedRun:
    """The run tagged with `key`, made if there is none; below the run `parent` if one is named.

    A create whose answer was lost leaves a second run behind: the oldest counts, the others are deleted.
    """
    experiment_id = _experiment(client, experiment)
    if not _tagged(client, experiment_id, key):
        tags = {KEY_TAG: key} | ({MLFLOW_PARENT_RUN_ID: parent} if parent else {})
        client.create_run(experiment_id, run_name=name, tags=tags)
    first, *others = _tagged(client, experiment_id, key)
    for other in others:
        client.delete_run(other.info.run_id)
    return TrackedRun(client, first)


def _tagged(client: mlflow.MlflowClient, experiment_id: str, key: str) -> list[Run]:
    return list(
        client.search_runs(
            [experiment_id],
            filter_string=f"tags.`{KEY_TAG}` = '{key}'",
            run_view_type=ViewType.ACTIVE_ONLY,
            order_by=["attributes.start_time ASC"],
        )
    )


def _experiment(client: mlflow.MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage != "active":
            raise PayloadError(f"MLflow experiment {name} is deleted: restore it or choose another --experiment")
        return found.experiment_id
    try:
        return client.create_experiment(name)
    except MlflowException:
        found = client.get_experiment_by_name(name)  # another run made it in between
        if found is None:
            raise
        return found.experiment_id


class Writer:
    """Writes to MLflow in order, from a thread of its own: a server that is away delays the log, not the work."""

    def __init__(self) -> None:
        self.waiting: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._write, name="mlflow-writer", daemon=True)
        self.thread.start()

    def add(self, write: Callable[[], None]) -> None:
        self.waiting.put(write)

    def close(self) -> None:
        """Wait until all is written; raises the error of the first write that failed for good."""
        self.waiting.put(None)
        self.thread.join()
        if self.error is not None:
            raise self.error

    def _write(self) -> None:
        while (write := self.waiting.get()) is not None:
            if self.error is None:
                try:
                    write()
                except Exception as error:
                    self.error = error


class EpochLog:
    """Epochs of one run, each written once."""

    def __init__(self, run: TrackedRun) -> None:
        self.run = run
        self.written = run.logged_epochs()
        self.writer = Writer()

    def add(self, metrics: dict[str, Any], timestamp_ms: int) -> None:
        self.writer.add(lambda: self._write(metrics, timestamp_ms))

    def close(self) -> None:
        """Wait until all is written; raises the error of the first write that failed for good."""
        self.writer.close()

    def _write(self, metrics: dict[str, Any], timestamp_ms: int) -> None:
        if metrics["epoch"] not in self.written:
            self.run.log_epoch(metrics, timestamp_ms)
            self.written.add(metrics["epoch"])
