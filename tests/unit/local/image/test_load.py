"""A load never outlives the cluster that it is for."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from local.cluster import Cluster
from local.image.load import ended_with


def gone() -> Cluster:
    """A cluster whose supervisor has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return Cluster("manta-gone", Path("/nowhere"), Path("/nowhere/kubeconfig"), process.pid)


def test_the_client_is_ended_with_the_cluster_it_would_wait_for(tmp_path: Path) -> None:
    started = time.monotonic()
    with subprocess.Popen(["sleep", "60"]) as client, ended_with(gone(), client):
        client.wait()
    assert time.monotonic() - started < 10


def test_the_client_does_not_outlive_an_interrupted_load() -> None:
    with subprocess.Popen(["sleep", "60"]) as client:
        try:
            with ended_with(gone(), client):
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            assert client.poll() is not None
