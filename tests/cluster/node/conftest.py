"""A second cluster beside the one people use: its own instance name, state folder and ports."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import local.cluster
from local.cluster import Cluster, names
from local.cluster.health import find
from local.image import scratch
from local.progress import PlainReporter, Reporter
from local.settings import LocalSettings, Ports, load
from local.toolchain import Toolchain, ensure

INSTANCE = "manta-test"

# The pause image with the node's own programs mounted: a shell and Python in a pod without any other image.
_TREES = {"bin": "/usr/bin", "lib": "/usr/lib", "lib64": "/usr/lib64", "usr": "/usr"}


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@dataclass(frozen=True)
class Second:
    """The second cluster; `up` and `down` may be called in any state."""

    settings: LocalSettings
    toolchain: Toolchain
    reporter: Reporter

    def up(self) -> Cluster:
        return local.cluster.up(self.settings, self.toolchain, self.reporter)

    def down(self) -> None:
        local.cluster.down(self.settings, self.reporter)

    @property
    def running(self) -> Cluster:
        cluster = find(self.settings)
        assert cluster is not None, "the second cluster is not running"
        return cluster

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        command = [str(self.toolchain.kubectl), f"--kubeconfig={self.settings.kubeconfig}", *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout if done.returncode == 0 else done.stderr

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def load_pause(self, folder: Path) -> None:
        archive = folder / "pause.tar"
        layout = scratch.build(folder / "pause", self.toolchain.pause)
        with archive.open("wb") as stream:
            layout.stream(names.PAUSE_IMAGE).write(stream, lambda _: None)
        subprocess.run(self.running.ctr("images", "import", str(archive)), check=True, capture_output=True)
        label = ("images", "label", names.PAUSE_IMAGE, "io.cri-containerd.pinned=pinned")
        subprocess.run(self.running.ctr(*label), check=True, capture_output=True)


def shell_pod(name: str, *command: str, labels: dict[str, str] | None = None) -> str:
    """Manifest of a pod that runs `command` with the node's programs, restarted when it ends."""
    container = {
        "name": "shell",
        "image": names.PAUSE_IMAGE,
        "imagePullPolicy": "Never",
        "command": list(command),
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": tree, "mountPath": f"/{tree}", "readOnly": True} for tree in _TREES],
    }
    volumes = [{"name": tree, "hostPath": {"path": path}} for tree, path in _TREES.items()]
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": volumes}
    metadata = {"name": name, "labels": labels or {}}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def eventually(holds: Callable[[], bool], reason: str, *, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"after {within_s:.0f} s still not: {reason}"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Second]:
    base = tmp_path_factory.mktemp("second")
    api, serve, dashboard, mlflow, s3 = free_ports(5)
    chosen = LocalSettings(
        instance=INSTANCE,
        state_dir=base / "state",
        cache_dir=load().cache_dir,
        ports=Ports(api=api, serve=serve, dashboard=dashboard, mlflow=mlflow, s3=s3),
    )
    reporter = PlainReporter(Console())
    cluster = Second(chosen, ensure(load(), reporter), reporter)
    cluster.down()  # what an interrupted run of these tests left
    yield cluster
    local.cluster.purge(chosen, reporter)
    assert not chosen.state_dir.exists(), "purge left the state folder"
    shutil.rmtree(base)


@pytest.fixture(scope="session")
def with_pods(second: Second, tmp_path_factory: pytest.TempPathFactory) -> Second:
    """The second cluster with the pause image in it: pods can run."""
    second.up()
    second.load_pause(tmp_path_factory.mktemp("images"))
    return second
