"""`make up` killed at every tenth of its way: the next one ends well, and the run is there once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest
from kubernetes import client, config

from local.settings import LocalSettings
from tests.cluster.main_job.conftest import Run, Stacks, runs_of
from tests.conftest import PROJECT, make
from tests.drills import training
from tests.drills.table import note

_ARGUMENTS = "ARGS=epochs=3"
TITLE = "make up killed (-9, with all that it started)"


@pytest.fixture(scope="module")
def whole(deployed: Stacks) -> float:
    """Seconds that an undisturbed `make up` of a short run takes."""
    with runs_of(deployed) as named:
        started = time.monotonic()
        make("up", f"RUN={named('tenths').name}", _ARGUMENTS)
        return time.monotonic() - started


@pytest.mark.parametrize("tenth", range(1, 10))
def test_the_next_up_ends_well(
    tenth: int, whole: float, deployed: Stacks, new_run: Callable[[str], Run], local_settings: LocalSettings
) -> None:
    run = new_run(f"tenth-{tenth}")
    up = subprocess.Popen(
        ["make", "--no-print-directory", "up", f"RUN={run.name}", _ARGUMENTS],
        cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    time.sleep(whole * tenth / 10)
    os.killpg(up.pid, signal.SIGKILL)
    up.wait()
    again = make("up", f"RUN={run.name}", _ARGUMENTS, check=False)
    jobs = client.CustomObjectsApi(config.new_client_from_config(str(local_settings.kubeconfig)))
    selector = f"manta/stack={run.stack}"
    made = jobs.list_namespaced_custom_object("ray.io", "v1", "ray", "rayjobs", label_selector=selector)["items"]
    found = training.records(f"http://127.0.0.1:{local_settings.ports.mlflow}", run.name)
    pending = _pending(deployed, run)
    figure = (
        f"after {tenth}/10 of {whole:.0f} s: {len(made)} RayJob, {len(found)} run in MLflow, {pending} operations open"
    )
    kept = again.returncode == 0 and (len(made), len(found), pending) == (1, 1, 0)
    assert note(TITLE, figure, "1, 1, 0", kept), again.stdout


def _pending(deployed: Stacks, run: Run) -> int:
    """Operations that the stack's state still holds as begun and not ended."""
    command = [str(deployed.pulumi), "--non-interactive", "stack", "export", "--stack", run.stack]
    done = subprocess.run(command, cwd=PROJECT, env=deployed.environment, check=True, capture_output=True, text=True)
    return len(json.loads(done.stdout)["deployment"].get("pending_operations") or [])
