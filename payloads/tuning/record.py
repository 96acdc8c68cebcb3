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
# Tag of a member's run, with the epoch: whose weights it took over after that epoch.
TAKEN_OVER = "manta.taken_over_after_epoch_"


class Recorder(tune.Callback):
    """Runs in the driver. Tune pickles it with the search and a restarted driver gets it back from there, so what
    cannot be pickled is made when it is first needed. Trials are found again by their id.

    What is not in MLflow yet is kept with the state of the search: a restarted driver goes on from that state, and
    would never hear again of the epochs before it.
    """

    def __init__(self, experiment: str, parent: str, key: str, samples: int, population: bool) -> None:
        self.experiment = experiment
        self.parent = parent
        self.key = key
        self.samples = samples
        self.population = population
        self._start()

    def _start(self) -> None:
        self.client: mlflow.MlflowClient | None = None
        self.writer: Writer | None = None
        self.unwritten: list[tuple[str, tuple[Any, ...]]] = []
        self.runs: dict[str, tuple[TrackedRun, set[Any]]] = {}
        self.ended: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("experiment", "parent", "key", "samples", "population")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def get_state(self) -> dict[str, Any]:
        return {"unwritten": self.unwritten[:]}

    def set_state(self, state: dict[str, Any]) -> None:
        for method, arguments in state["unwritten"]:
            self._write(method, *arguments)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:  # noqa: ARG002
        self._write("_open", trial.trial_id, dict(trial.config))

    def on_trial_result(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[Trial],  # noqa: ARG002
        trial: Trial,
        result: dict[str, Any],
        **_: Any,
    ) -> None:
        step, donor = int(result["training_iteration"]), result["taken_over"]
        if donor:
            reporting.progress(
                f"trial {trial.trial_id} goes on after epoch {step - 1} of trial {donor} "
                f"with lr {result['config']['lr']:.3g} dropout {result['config']['dropout']:.3g}"
            )
            self._write("_tag", trial.trial_id, f"{TAKEN_OVER}{step - 1}", donor)
        metrics = {name: float(result[name]) for name in METRICS}
        self._write("_log", trial.trial_id, step, int(time.time() * 1000), metrics)

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
            f"trial {done}/{self.samples} {status.lower()} after {result.get('training_iteration', 0)} epochs, "
            f"{told} ({trial.trial_id})"
        )
        self._write("_close", trial.trial_id, dict(trial.config), status)

    def _write(self, method: str, *arguments: Any) -> None:
        if self.writer is None:
            self.writer = Writer()
        self.unwritten.append((method, arguments))
        self.writer.add(self._write_first)

    def _write_first(self) -> None:
        method, arguments = self.unwritten[0]
        getattr(self, method)(*arguments)
        del self.unwritten[0]

    def _open(self, name: str, parameters: dict[str, Any]) -> None:
        """Find or make the trial's MLflow run, with the epochs that are in it from before a restart."""
        if name not in self.runs:
            run = self._find(name)
            run.start(_first_values(run, parameters), {})

    def _find(self, name: str) -> TrackedRun:
        if name not in self.runs:
            run = find_or_create(self._client(), self.experiment, f"{self.key}/{name}", f"trial-{name}", self.parent)
            points = self._client().get_metric_history(run.id, METRICS[0])
            self.runs[name] = (run, {self._mark(point.step, point.value) for point in points})
        return self.runs[name][0]

    def _tag(self, name: str, tag: str, value: str) -> None:
        self._client().set_tag(self._find(name).id, tag, value)

    def _close(self, name: str, parameters: dict[str, Any], status: str) -> None:
        self._open(name, parameters)  # one that failed before it started has no run yet
        self._client().set_terminated(self.runs[name][0].id, status)

    def _log(self, name: str, step: int, timestamp_ms: int, metrics: dict[str, float]) -> None:
        """Log one epoch, unless it was logged before a restart."""
        run = self._find(name)
        written, mark = self.runs[name][1], self._mark(step, metrics[METRICS[0]])
        if mark not in written:
            points = [Metric(metric, value, timestamp_ms, step) for metric, value in metrics.items()]
            self._client().log_batch(run.id, metrics=points)
            written.add(mark)

    def _mark(self, step: int, loss: float) -> Any:
        """What tells an epoch from others of its trial. Who takes over weights of fewer epochs goes back with them, and
        has an epoch of the same number twice."""
        return (step, loss) if self.population else step

    def _client(self) -> mlflow.MlflowClient:
        if self.client is None:
            self.client = connect(read_platform())
        return self.client


def _first_values(run: TrackedRun, parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters that MLflow does not have yet: a population changes them on the way, and MLflow refuses that. How they
    change is in the metrics."""
    there = run.client.get_run(run.id).data.params
    return {name: value for name, value in parameters.items() if name not in there}
