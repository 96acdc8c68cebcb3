"""What happens to the one who types `make up` while a run is on: Ctrl-C, and an API server that dies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kubernetes import client

from local.cluster import health
from local.settings import LocalSettings
from tests.cluster.main_job.conftest import Run, Stacks
from tests.conftest import PROJECT

ARGUMENTS = "ARGS=epochs=30 hidden=256"
_PATIENCE_S = 600
# The engine gets 30 s to record what it did; a person who waits longer than this presses Ctrl-C again.
_STOPS_WITHIN_S = 60


def test_ctrl_c_ends_in_order_and_the_next_up_follows_the_same_run(
    deployed: Stacks, core: client.CoreV1Api, new_run: Callable[[str], Run]
) -> None:
    run = new_run("ctrl-c")
    with started(f"RUN={run.name}", ARGUMENTS) as up:
        printed = read_until(up, r"epoch 3/\d+")
        os.killpg(up.pid, signal.SIGINT)
        pressed = time.monotonic()
        printed += up.communicate(timeout=_PATIENCE_S)[0]
    assert up.returncode != 0
    assert time.monotonic() - pressed < _STOPS_WITHIN_S
    assert "Traceback" not in printed, printed
    assert "interrupted" in printed, printed
    before = pods_of(core, run.stack)
    assert before, "the run goes on in the cluster: what was interrupted is the watching"

    with started(f"RUN={run.name}", ARGUMENTS) as again:
        printed = again.communicate(timeout=_PATIENCE_S)[0]
    assert again.returncode == 0, printed
    assert "locked" not in printed
    assert "epoch 30/30" in printed
    assert deployed.outputs(run.stack)["result"]["accuracy"] > 0.9
    assert submitters(core, run.stack) <= submitters_in(before), "the run was submitted once"


def test_an_api_server_that_dies_twice_costs_nothing(
    deployed: Stacks, new_run: Callable[[str], Run], local_settings: LocalSettings
) -> None:
    run = new_run("api-gone")
    with started(f"RUN={run.name}", ARGUMENTS) as up:
        printed = read_until(up, rf"stack {run.stack} \.\.\.")
        kill_api_server(local_settings)
        printed += read_until(up, r"epoch 2/\d+")
        kill_api_server(local_settings)
        printed += up.communicate(timeout=_PATIENCE_S)[0]
    assert up.returncode == 0, printed
    assert deployed.outputs(run.stack)["result"]["accuracy"] > 0.9


@contextmanager
def started(*assignments: str) -> Iterator[subprocess.Popen[str]]:
    """`make up` in a process group of its own, as a terminal has it; it never outlives the block."""
    process = subprocess.Popen(
        ["make", "--no-print-directory", "up", *assignments],
        cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    watchdog = threading.Timer(_PATIENCE_S, lambda: os.killpg(process.pid, signal.SIGTERM))
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """What `process` prints up to and with the first line that matches."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if re.search(pattern, line):
            return printed
    raise AssertionError(f"make up ended before it printed {pattern}:\n{printed}")


def kill_api_server(settings: LocalSettings) -> None:
    (server,) = [found for found in health.status(settings).components if found.name == "apiserver"]
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)


def pods_of(core: client.CoreV1Api, stack: str) -> list[client.V1Pod]:
    return core.list_namespaced_pod("ray", label_selector=f"manta/stack={stack}").items


def submitters(core: client.CoreV1Api, stack: str) -> set[str]:
    return submitters_in(pods_of(core, stack))


def submitters_in(pods: list[client.V1Pod]) -> set[str]:
    return {pod.metadata.name for pod in pods if "job-name" in (pod.metadata.labels or {})}
