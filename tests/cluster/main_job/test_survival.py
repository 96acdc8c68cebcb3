"""A worker dies in the middle of a run: the run ends well, from a checkpoint, and its result is exported."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable

from kubernetes import client

from tests.cluster.main_job.conftest import Run, Stacks
from tests.conftest import PROJECT

EPOCHS = 40
KILL_AFTER = 5
_PATIENCE_S = 600


def test_a_run_whose_worker_is_killed_resumes_and_ends_well(
    deployed: Stacks, core: client.CoreV1Api, new_run: Callable[[str], Run]
) -> None:
    run = new_run("drill")
    process = subprocess.Popen(
        ["make", "up", f"RUN={run.name}", f"ARGS=epochs={EPOCHS} hidden=256"],
        cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    watchdog = threading.Timer(_PATIENCE_S, process.terminate)
    watchdog.start()
    epochs: list[int] = []
    killed_at: int | None = None
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if found := re.search(r"epoch (\d+)/\d+", line):
            epochs.append(int(found[1]))
            if killed_at is None and epochs[-1] >= KILL_AFTER:
                killed_at = epochs[-1]
                kill_a_worker(core, run.stack)
    assert process.wait() == 0, "".join(lines)
    watchdog.cancel()

    assert killed_at is not None
    assert killed_at < EPOCHS, "the worker was killed too late to prove anything"
    assert epochs[-1] == EPOCHS
    assert epochs.count(1) == 1, f"the run began anew instead of from a checkpoint: {epochs}"
    repeated = len(epochs) - len(set(epochs))
    assert repeated <= 2, f"{repeated} epochs were done twice: {epochs}"
    result = deployed.outputs(run.stack)["result"]
    assert result["accuracy"] > 0.9


def kill_a_worker(core: client.CoreV1Api, stack: str) -> None:
    selector = f"ray.io/node-type=worker,manta/stack={stack}"
    pods = core.list_namespaced_pod("ray", label_selector=selector).items
    workers = [item for item in pods if item.status.phase == "Running"]
    assert workers, f"no running worker of the drill at {time.strftime('%X')}"
    core.delete_namespaced_pod(workers[0].metadata.name, "ray", grace_period_seconds=0)
