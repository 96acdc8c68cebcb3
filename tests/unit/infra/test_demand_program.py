"""The program in the pods that KEDA scales, against a real GCS server of Ray that asks for a token."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.ray.demand import SCRIPT

TOKEN = "0123456789abcdef0123456789abcdef"
PATIENCE_S = 60.0
# How many replicas there are is told by a name's addresses: those of this one, and of one that has none.
NAME, NOBODY = "localhost", "nobody.invalid"
# What the autoscaler is told: one number of workers for each kind of bundle.
WANTED = """
import sys
from ray._raylet import GcsClient
from ray.autoscaler.v2.sdk import get_cluster_resource_state
state = get_cluster_resource_state(GcsClient(sys.argv[1]))
for constraint in state.cluster_resource_constraints:
    for entry in constraint.resource_requests:
        print(entry.count, sorted(entry.request.resources_bundle.items()))
"""


def environment(token: bool = True) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    known = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    return {**kept, **(known if token else {"RAY_AUTH_MODE": "disabled"}), "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a GCS server, which is all of a head that the program talks to."""
    ray = Path(sys.executable).parents[1] / "lib" / "python3.11" / "site-packages" / "ray"
    folder = tmp_path_factory.mktemp("gcs")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [str(ray / "core" / "src" / "ray" / "gcs" / "gcs_server"), f"--log_dir={folder}", "--config_list=e30=",
         f"--gcs_server_port={port}", "--metrics-agent-port=0", "--node-ip-address=127.0.0.1",
         "--session-name=demand", "--ray-commit=", f"--session-dir={folder}", f"--node-id={'f' * 56}"],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not listens(port):
            assert process.poll() is None, f"the GCS server ended with {process.returncode}"
            assert time.monotonic() < deadline, "the GCS server does not listen"
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wanted(head: str) -> list[str]:
    asked = subprocess.run(
        [sys.executable, "-c", WANTED, head], env=environment(), capture_output=True, text=True, check=True, timeout=60
    )
    return asked.stdout.splitlines()


def replica(head: str, service: str, token: bool = True) -> subprocess.Popen[str]:
    """The pod's own program, with shorter pauses."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, head, service, "3", "1", "1", "0.1"],
        env=environment(token), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=60)[0].strip()


def test_as_many_workers_are_wanted_as_there_are_replicas_and_none_when_they_are_gone(head: str) -> None:
    count = len({entry[4][0] for entry in socket.getaddrinfo(NAME, None, type=socket.SOCK_STREAM)})
    standing = replica(head, NAME)
    assert first_line(standing) == f"{count} workers wanted"
    assert wanted(head) == [f"{count} [('CPU', 3.0), ('GPU', 1.0)]"]
    assert end(standing) == f"going: {count} workers wanted"
    last = replica(head, NOBODY)
    assert first_line(last) == "0 workers wanted"
    assert end(last) == "going: 0 workers wanted"
    assert wanted(head) == []


def test_nobody_is_heard_without_the_token(head: str) -> None:
    stranger = replica(head, NAME, token=False)
    assert first_line(stranger).startswith("not asked: ")
    end(stranger)
    assert wanted(head) == []
