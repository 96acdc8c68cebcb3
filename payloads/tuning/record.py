"""Each trial as an MLflow run below the search's run, and a line of progress when it ends."""

from __future__ import annotations

import time
from typing import Any

import mlflow
from mlflow.entities import Metric
from ray import tune
from ray.tune.experiment import Trial

from payloads.common import reporting
from payloads.common.settings import read_platform
from payloads.common.tracking import TrackedRun, Writer, connect, find_or_create

METRICS = ("loss", "validation_loss", "accuracy", "learning_rate", "dropout", "seconds")


class Recorder(tune.Callback):
    """Runs in the driver. Tune pickles it with the search and a restarted driver gets it back from there, so what
    cannot be pickled is made when it is first needed. Trials are found again by their id."""

    def __init__(self, experiment: str, parent: str, key: str, samples: int) -> None:
        self.experiment = experiment
        self.parent = parent
        self.key = key
        self.samples = samples
        self._start()

    def _start(self) -> None:
        self.client: mlflow.MlflowClient | None = None
        self.writer: Writer | None = None
        self.runs: dict[str, tuple[TrackedRun, set[int]]] = {}
        self.ended: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("experiment", "parent", "key", "samples")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:  # noqa: ARG002
        name, parameters = trial.trial_id, dict(trial.config)
        self._write(lambda: self._open(name, parameters))

    def on_trial_result(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[Trial],  # noqa: ARG002
        trial: Trial,
        result: dict[str, Any],
        **_: Any,
    ) -> None:
        step, now = int(result["training_iteration"]), int(time.time() * 1000)
        metrics = [Metric(name, float(result[name]), now, step) for name in METRICS]
        self._write(lambda: self._log(trial.trial_id, step, metrics))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:  # noqa: ARG002
        self._end(trials, trial, "FINISHED")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:  # noqa: ARG002
        self._end(trials, trial, "FAILED")

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:  # noqa: ARG002
        reporting.progress(f"trial {trial.trial_id} failed and is tried again")

    def on_experiment_end(self, trials: list[Trial], **_: Any) -> None:  # noqa: ARG002
        """Wait until all is in MLflow; raises the error of the first write that failed for good."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def _end(self, trials: list[Trial], trial: Trial, status: str) -> None:
        self.ended.add(trial.trial_id)
        done = sum(other.is_finished() or other.trial_id in self.ended for other in trials)
        result = trial.last_result or {}
        told = f"validation_loss {result['validation_loss']:.4f}" if "validation_loss" in result else "no result"
        reporting.progress(
            f"trial {done}/{self.samples} {status.lower()} after {result.get('training_iteration', 0)} epochs, {told}"
        )
        name, parameters = trial.trial_id, dict(trial.config)
        self._write(lambda: self._close(name, parameters, status))

    def _open(self, name: str, parameters: dict[str, Any]) -> None:
        """Find or make the trial's MLflow run, with the steps that are in it from before a restart."""
        if name not in self.runs:
            run = find_or_create(self._client(), self.experiment, f"{self.key}/{name}", f"trial-{name}", self.parent)
            self.runs[name] = (run, run.logged_epochs())
            run.start(_first_values(run, parameters), {})

    def _close(self, name: str, parameters: dict[str, Any], status: str) -> None:
        self._open(name, parameters)  # one that failed before it started has no run yet
        self._client().set_terminated(self.runs[name][0].id, status)

    def _log(self, name: str, step: int, metrics: list[Metric]) -> None:
        run, written = self.runs[name]
        if step not in written:
            self._client().log_batch(run.id, metrics=metrics)
            written.add(step)

    def _write(self, write: Any) -> None:
        if self.writer is None:
            self.writer = Writer()
        self.writer.add(write)

    def _client(self) -> mlflow.MlflowClient:
        if self.client is None:
            self.client = connect(read_platform())
        return self.client


def _first_values(run: TrackedRun, parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters that MLflow does not have yet: a population changes them on the way, and MLflow refuses that. How they
    change is in the metrics."""
    there = run.client.get_run(run.id).data.params
    return {name: value for name, value in parameters.items() if name not in there}
