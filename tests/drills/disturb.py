"""What the drills take away from a stack that works."""

from __future__ import annotations

from typing import Any

from kubernetes import client
from kubernetes.stream import stream

NAMESPACE = "ray"
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
