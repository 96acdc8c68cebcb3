"""Runs on the real cluster: the standing one is shown, and one that is stopped gives its pods back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.ops.conftest import Kubectl

NAMESPACE, RUN, STACK = "ray", "stopped-by-hand", "train-local-stopped"


def ops(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ops", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def run(kubectl: Kubectl, ray_image: str) -> Iterator[str]:
    """A run that waits for a node that does not come, so that it costs next to nothing."""
    secure = {
        "allowPrivilegeEscalation": False, "runAsNonRoot": True, "runAsUser": 1000,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    resources = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}
    container = {"name": "ray", "image": ray_image, "resources": resources, "securityContext": secure}
    pod = {"nodeSelector": {"manta/nodes": "gpu"}, "automountServiceAccountToken": False, "containers": [container]}
    head = {"rayStartParams": {"num-cpus": "0"}, "template": {"spec": pod}}
    spec = {
        "entrypoint": "true", "shutdownAfterJobFinishes": True, "activeDeadlineSeconds": 600,
        "rayClusterSpec": {"rayVersion": "2.60.0", "headGroupSpec": head},
    }  # fmt: skip
    metadata = {"name": RUN, "namespace": NAMESPACE, "labels": {"manta/run": RUN, "manta/stack": STACK}}
    job = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": metadata, "spec": spec}
    kubectl("apply", "-f", "-", text=json.dumps(job))
    yield RUN
    kubectl("-n", NAMESPACE, "delete", "rayjob", RUN)


def eventually(holds: Callable[[], bool], what: str, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(1)


def state(name: str) -> str:
    listed = json.loads(ops("runs", "list", "--json").stdout)
    return next(each["state"] for each in listed if each["run"] == name)


def test_a_stopped_run_gives_its_pods_back_and_goes_on_when_it_is_resumed(kubectl: Kubectl, run: str) -> None:
    def pods() -> int:
        return kubectl("-n", NAMESPACE, "get", "pods", "-l", "manta/run=" + run, "-o", "name").count("pod/") + kubectl(
            "-n", NAMESPACE, "get", "raycluster", "-o", "name"
        ).count(f"/{run}-")

    eventually(lambda: state(run) == "Initializing" and pods() > 0, "the run has no cluster")
    diagnosed = ops("diagnose", run)
    assert diagnosed.returncode == 1
    assert "[selector]" in diagnosed.stdout
    assert ops("runs", "stop", STACK).returncode == 0
    eventually(lambda: state(run) == "Suspended", "the run is not suspended")
    eventually(lambda: pods() == 0, "its cluster is still there")
    assert ops("runs", "stop", run).returncode == 3
    assert ops("runs", "resume", run).returncode == 0
    eventually(lambda: state(run) == "Initializing", "the run does not go on")


def test_the_standing_run_is_shown_with_its_epochs_from_mlflow(kubectl: Kubectl) -> None:
    (standing,) = [each for each in json.loads(ops("runs", "list", "--json").stdout) if each["stack"] == "train-local"]
    shown = ops("watch", standing["run"])
    assert shown.returncode == 0, shown.stderr
    assert f"run       {standing['run']} (train-local)" in shown.stdout
    assert "20/20" in shown.stdout
    assert "result    accuracy 0.9" in shown.stdout
