"""What a replica of the Deployment says reaches Ray's real autoscaler, which brings workers and takes them back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.ray.demand import SCRIPT

TOKEN = "0123456789abcdef0123456789abcdef"
PATIENCE_S = 240.0
# How many replicas there are is told by a name's addresses: those of this one, and of one that has none.
NAME, NOBODY = "localhost", "nobody.invalid"
NODES = """
import sys
from ray.autoscaler.v2.sdk import get_cluster_status
status = get_cluster_status(sys.argv[1])
nodes = [*status.active_nodes, *status.idle_nodes]
print(sum(1 for node in nodes if node.ray_node_type_name == "worker"))
"""


def environment(token: bool = True) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    known = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    return {**kept, **(known if token else {"RAY_AUTH_MODE": "disabled"}), "RAY_USAGE_STATS_ENABLED": "0"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Ray head that runs no tasks, whose autoscaler may start up to four workers as processes beside it."""
    port, folder = free_port(), tmp_path_factory.mktemp("ray")
    config = {
        "cluster_name": "demand",
        "max_workers": 4,
        "idle_timeout_minutes": 0.05,
        "provider": {
            "type": "fake_multinode",
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "launch_multiple": True,
            "head_node_id": "fffffffffffffffffffffffffffffffffffffffffffffffffff00000",
        },
        "available_node_types": {
            "ray.head.default": {"resources": {}, "node_config": {}, "max_workers": 0},
            "worker": {
                "resources": {"CPU": 1, "object_store_memory": 80_000_000},
                "node_config": {},
                "min_workers": 0,
                "max_workers": 4,
            },
        },
        "head_node_type": "ray.head.default",
        "upscaling_speed": 1.0,
        "auth": {},
        "docker": {},
        "initialization_commands": [],
        "setup_commands": [],
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
    }
    written = folder / "autoscaling.json"
    written.write_text(json.dumps(config))
    ray = str(Path(sys.executable).with_name("ray"))
    fake = {
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_CLOUD_INSTANCE_ID": config["provider"]["head_node_id"],
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": config["provider"]["head_node_id"],
        "RAY_raylet_start_wait_time_s": "120",
    }
    with (folder / "head.log").open("w") as log:
        process = subprocess.Popen(
            [ray, "start", "--head", "--block", f"--port={port}", "--num-cpus=0", "--node-ip-address=127.0.0.1",
             "--include-dashboard=false", "--object-store-memory=80000000", f"--autoscaling-config={written}",
             f"--temp-dir=/tmp/demand-{port}"],
            env={**environment(), **fake}, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        # The workers are in its session too.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def workers(head: str) -> int | None:
    """How many the autoscaler has; None while the head does not answer."""
    asked = subprocess.run(
        [sys.executable, "-c", NODES, head], env=environment(), capture_output=True, text=True, check=False, timeout=60
    )
    return int(asked.stdout) if asked.returncode == 0 else None


def eventually(question: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not question():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(1)


def replica(head: str, service: str, token: bool = True) -> subprocess.Popen[str]:
    """The pod's own program, with shorter pauses."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, head, service, "1", "0", "1", "0.1"],
        env=environment(token), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def end(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=60)[0]


def test_as_many_workers_stand_ready_as_there_are_replicas_and_go_with_them(head: str) -> None:
    wanted = len({entry[4][0] for entry in socket.getaddrinfo(NAME, None, type=socket.SOCK_STREAM)})
    eventually(lambda: workers(head) == 0)
    standing = replica(head, NAME)
    eventually(lambda: workers(head) == wanted)
    time.sleep(8)
    assert workers(head) == wanted, "an idle worker that is wanted stays"
    assert f"{wanted} workers wanted" in end(standing)
    assert "going: 0 workers wanted" in end_of_the_last(head)
    eventually(lambda: workers(head) == 0)


def end_of_the_last(head: str) -> str:
    """A replica that finds nobody left when it goes."""
    last = replica(head, NOBODY)
    assert last.stdout
    assert last.stdout.readline() == "0 workers wanted\n"
    return end(last)


def test_nobody_is_heard_without_the_token(head: str) -> None:
    stranger = replica(head, NAME, token=False)
    assert stranger.stdout
    assert stranger.stdout.readline().startswith("not asked: ")
    end(stranger)
    assert workers(head) == 0
