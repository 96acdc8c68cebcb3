"""A training run that is disturbed on its way, and what it looked like from outside."""

from __future__ import annotations

import re
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kubernetes import client
from kubernetes.stream import stream

from tests.conftest import PROJECT

EPOCHS = 40
ARGUMENTS = f"ARGS=epochs={EPOCHS} hidden=256"
NAMESPACE = "ray"
_PATIENCE_S = 900
# Prints the ids of this pod's processes whose command line holds the text, and kills them when told so.
_KILL = """
import os, pathlib, signal, sys
for entry in pathlib.Path('/proc').glob('[0-9]*'):
    try:
        words = (entry / 'cmdline').read_bytes().replace(b'\\0', b' ').decode()
    except OSError:
        continue
    mine = int(entry.name) in (os.getpid(), os.getppid()) or 'bash' in words.split(' ')[0]
    if sys.argv[1] in words and not mine:
        os.kill(int(entry.name), signal.SIGKILL)
        print('killed', entry.name, words[:80])
"""


@dataclass
class Trace:
    """Epochs as they were reported, each with the seconds since the start; `disturbed_at` is one of those moments."""

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
    def stalled(self) -> float:
        """Seconds from the disturbance to the first epoch that is further than any before."""
        assert self.disturbed_at is not None
        before = max((number for moment, number in self.epochs if moment <= self.disturbed_at), default=0)
        return next(moment for moment, number in self.epochs if number > before and moment > self.disturbed_at) - (
            self.disturbed_at
        )

    @property
    def pause(self) -> float:
        """The longest time without a new epoch after the disturbance, in seconds."""
        assert self.disturbed_at is not None
        best, last, longest = 0, self.disturbed_at, 0.0
        for moment, number in self.epochs:
            if number > best:
                best = number
                if moment > self.disturbed_at:
                    longest = max(longest, moment - last)
                    last = moment
        return longest


def train(name: str, disturb: Callable[[], object] | None = None, at: int = 5) -> Trace:
    """`make up RUN=name`; `disturb` is called once, when epoch `at` has been reported."""
    process = subprocess.Popen(
        ["make", "--no-print-directory", "up", f"RUN={name}", ARGUMENTS],
        cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    watchdog = threading.Timer(_PATIENCE_S, process.terminate)
    watchdog.start()
    trace, started = Trace(), time.monotonic()
    assert process.stdout is not None
    for line in process.stdout:
        trace.printed += line
        if found := re.search(r"epoch (\d+)/\d+", line):
            trace.epochs.append((time.monotonic() - started, int(found[1])))
            if disturb is not None and trace.disturbed_at is None and int(found[1]) >= at:
                trace.disturbed_at = time.monotonic() - started
                disturb()
    trace.returncode = process.wait()
    watchdog.cancel()
    trace.seconds = time.monotonic() - started
    return trace


def pods(core: client.CoreV1Api, stack: str, role: str) -> list[Any]:
    """Running pods of the stack, of Ray's node type `role`."""
    selector = f"ray.io/node-type={role},manta/stack={stack}"
    listed = core.list_namespaced_pod(NAMESPACE, label_selector=selector).items
    return [pod for pod in listed if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp]


def kill_process(core: client.CoreV1Api, pod: Any, words: str) -> str:
    """kill -9 of the processes in `pod` whose command line holds `words`; says which, and fails if there is none."""
    done = stream(
        core.connect_get_namespaced_pod_exec,
        pod.metadata.name,
        NAMESPACE,
        container=pod.spec.containers[0].name,
        command=["python", "-c", _KILL, words],
        stdout=True, stderr=True, stdin=False, tty=False,
    )  # fmt: skip
    assert "killed" in done, f"no process of {pod.metadata.name} is called {words}: {done}"
    return done


def evict(core: client.CoreV1Api, pod: Any) -> None:
    """What a node's drain does on a spot notice: the pod gets SIGTERM, and the grace of its own spec."""
    name = pod.metadata.name
    body = client.V1Eviction(metadata=client.V1ObjectMeta(name=name, namespace=NAMESPACE))
    core.create_namespaced_pod_eviction(name, NAMESPACE, body)


def kill_pod(core: client.CoreV1Api, pod: Any) -> None:
    core.delete_namespaced_pod(pod.metadata.name, NAMESPACE, grace_period_seconds=0)


def mlflow_runs(port: int, run: str) -> list[dict[str, Any]]:
    """All runs of MLflow that are called `run`, with their last metrics."""
    import json

    def ask(path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/2.0/mlflow/{path}",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    experiments = [each["experiment_id"] for each in ask("experiments/search", {"max_results": 100})["experiments"]]
    found = ask("runs/search", {"experiment_ids": experiments, "max_results": 1000}).get("runs", [])
    return [each for each in found if each["info"]["run_name"].startswith(run)]


def final(run: dict[str, Any], metric: str) -> float:
    return next(float(each["value"]) for each in run["data"]["metrics"] if each["key"] == metric)
