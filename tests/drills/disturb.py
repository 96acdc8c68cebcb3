"""What the drills take away from a stack that works."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes import client
from kubernetes.stream import stream

NAMESPACE = "ray"
SYSTEM = "manta-system"
# Kills this pod's processes whose command line holds the text, but for itself and the shells that only quote it.
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


def pods(core: client.CoreV1Api, stack: str, role: str) -> list[Any]:
    """Running pods of the stack, of Ray's node type `role` (head or worker); not those that are about to end."""
    selector = f"ray.io/node-type={role},manta/stack={stack}"
    listed = core.list_namespaced_pod(NAMESPACE, label_selector=selector).items
    return [pod for pod in listed if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp]


def is_ready(pod: Any) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or [])


def kill_process(core: client.CoreV1Api, pod: Any, words: str) -> None:
    """kill -9 of the processes in `pod` whose command line holds `words`; AssertionError if there is none."""
    done = stream(
        core.connect_get_namespaced_pod_exec,
        pod.metadata.name,
        NAMESPACE,
        container=pod.spec.containers[0].name,
        command=["python", "-c", _KILL, words],
        stdout=True, stderr=True, stdin=False, tty=False,
    )  # fmt: skip
    assert "killed" in done, f"no process of {pod.metadata.name} is called {words}: {done}"


def evict(core: client.CoreV1Api, pod: Any) -> None:
    """What a node's drain does on a spot notice: the pod gets SIGTERM, and the grace of its own spec."""
    name = pod.metadata.name
    body = client.V1Eviction(metadata=client.V1ObjectMeta(name=name, namespace=NAMESPACE))
    core.create_namespaced_pod_eviction(name, NAMESPACE, body)


def kill_pod(core: client.CoreV1Api, pod: Any) -> None:
    core.delete_namespaced_pod(pod.metadata.name, NAMESPACE, grace_period_seconds=0)


class Replacement:
    """When a worker pod that was not there before is ready, seen from a thread of its own."""

    def __init__(self, core: client.CoreV1Api, stack: str) -> None:
        self.ready_at: float | None = None
        self._core, self._stack = core, stack
        self._before = {pod.metadata.name for pod in pods(core, stack, "worker")}
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        deadline = time.monotonic() + 300
        while self.ready_at is None and time.monotonic() < deadline:
            found = pods(self._core, self._stack, "worker")
            if any(is_ready(pod) and pod.metadata.name not in self._before for pod in found):
                self.ready_at = time.monotonic()
            time.sleep(0.5)


@contextmanager
def away(apps: client.AppsV1Api, deployment: str) -> Iterator[None]:
    """The platform's `deployment` has no pod in this block, and its one again after it."""
    _scale(apps, deployment, 0)
    try:
        yield
    finally:
        _scale(apps, deployment, 1)


def away_for(apps: client.AppsV1Api, deployment: str, seconds: float) -> threading.Thread:
    """The platform's `deployment` goes now and comes back after `seconds`."""
    gone = threading.Event()

    def run() -> None:
        with away(apps, deployment):
            gone.set()
            time.sleep(seconds)

    thread = threading.Thread(target=run)
    thread.start()
    assert gone.wait(60), f"{deployment} could not be taken away"
    return thread


def _scale(apps: client.AppsV1Api, deployment: str, replicas: int) -> None:
    apps.patch_namespaced_deployment_scale(deployment, SYSTEM, {"spec": {"replicas": replicas}})
    deadline = time.monotonic() + 120
    while (apps.read_namespaced_deployment(deployment, SYSTEM).status.ready_replicas or 0) != replicas:
        assert time.monotonic() < deadline, f"{deployment} has not got {replicas} pods after two minutes"
        time.sleep(0.5)
