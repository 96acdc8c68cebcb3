"""A training run that is disturbed on its way, and what it looked like from outside."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import mlflow
from mlflow.entities import Run as Record

from tests.conftest import PROJECT

EPOCHS = 16
ARGUMENTS = f"ARGS=epochs={EPOCHS} hidden=256"
_PATIENCE_S = 900


@dataclass
class Trace:
    """Epochs as they were reported, each with its moment (seconds of the monotonic clock), and the disturbance's."""

    returncode: int = -1
    seconds: float = 0.0
    disturbed_at: float | None = None
    epochs: list[tuple[float, int]] = field(default_factory=list)
    printed: str = ""

    @property
    def numbers(self) -> list[int]:
        return [number for _, number in self.epochs]

    @property
    def repeated(self) -> int:
        return len(self.numbers) - len(set(self.numbers))

    @property
    def pause(self) -> float:
        """The longest time without a new epoch after the disturbance, in seconds."""
        assert self.disturbed_at is not None
        best, last, longest = 0, self.disturbed_at, 0.0
        for moment, number in self.epochs:
            if number <= best:
                continue
            best = number
            if moment > self.disturbed_at:
                longest, last = max(longest, moment - last), moment
        return longest


def train(name: str, disturb: Callable[[], object] | None = None, at: int = 3) -> Trace:
    """`make up RUN=name`; `disturb` is called once, when epoch `at` is reported."""
    process = subprocess.Popen(
        ["make", "--no-print-directory", "up", f"RUN={name}", ARGUMENTS],
        cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    watchdog = threading.Timer(_PATIENCE_S, process.terminate)
    watchdog.start()
    trace, started = Trace(), time.monotonic()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            trace.printed += line
            if found := re.search(r"epoch (\d+)/\d+", line):
                trace.epochs.append((time.monotonic(), int(found[1])))
                if disturb is not None and trace.disturbed_at is None and int(found[1]) >= at:
                    trace.disturbed_at = time.monotonic()
                    disturb()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        watchdog.cancel()
    trace.returncode = process.wait()
    trace.seconds = time.monotonic() - started
    return trace


def records(server: str, name: str) -> list[Record]:
    """All runs in the MLflow at `server` whose name begins with `name`."""
    tracking = mlflow.MlflowClient(server, server)
    experiments = [each.experiment_id for each in tracking.search_experiments()]
    return list(tracking.search_runs(experiments, f"attributes.run_name LIKE '{name}%'"))


def epochs_logged(server: str, record: Record) -> list[int]:
    """The epochs whose loss the run's record holds, in order."""
    history = mlflow.MlflowClient(server, server).get_metric_history(record.info.run_id, "loss")
    return sorted(each.step for each in history)
