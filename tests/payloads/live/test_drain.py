"""A node that is about to go away: what was trained is saved between two steps, and no failure is counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
import ray
from drivers import train
from ray._common.utils import reset_ray_address
from ray._private.state import available_resources_per_node
from ray.core.generated import autoscaler_pb2
from services import S3, Mlflow

RAY = str(Path(sys.executable).with_name("ray"))
# One row a step: an epoch takes a second or two, and the notice comes in the middle of one.
SLOW = {"batch_size": 2, "epochs": 6, "lr": 1e-4, "max_failures": 0, "drain_check_steps": 25, "gate_accuracy": 0.01}
# More than the test's Ray has on its own node, so that workers are on nodes that can be taken away.
CPUS = 5


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "1")
    monkeypatch.setenv("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", "0.5")


class Node:
    """A Ray node of its own processes on this machine."""

    def __init__(self, address: str) -> None:
        before = alive()
        self.process = subprocess.Popen(
            [RAY, "start", f"--address={address}", f"--num-cpus={2 * CPUS}", "--block", "--disable-usage-stats"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 240
        while not (new := alive() - before):
            assert time.monotonic() < deadline, "the Ray node did not start"
            time.sleep(0.3)
        (self.id,) = new

    @property
    def busy(self) -> bool:
        """Whether a worker is on it."""
        return available_resources_per_node()[self.id].get("CPU", 0) < 2 * CPUS

    def announce_end(self, address: str) -> None:
        """What `ray start --block` does when Kubernetes sends SIGTERM; no more time than a minute is left."""
        # The call behind `ray drain-node`, whose process takes longer to start than an epoch does.
        accepted, refusal = ray._raylet.GcsClient(address=address).drain_node(
            self.id,
            autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"),
            "spot",
            int((time.time() + 60) * 1000),
        )
        assert accepted, refusal

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def alive() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


@contextmanager
def nodes() -> Iterator[list[Node]]:
    started: list[Node] = []
    try:
        yield started
    finally:
        for node in started:
            node.kill()
        # `ray start` names its cluster as the one that everything on this machine shall join.
        reset_ray_address()


def test_a_node_that_goes_away_costs_no_finished_epoch_and_no_failure(
    ray_cluster: str, watching: None, s3: S3, mlflow_server: Mlflow
):
    with nodes() as started:
        started += [Node(ray_cluster), Node(ray_cluster)]
        reference = train(run_name="undisturbed", cpus_per_worker=CPUS, **SLOW)
        assert reference.status == 0, reference.text

        warned, gone = threading.Event(), threading.Event()
        left: list[Node] = []

        def disturb(line: str) -> None:
            if line.startswith("progress: epoch 2/") and not warned.is_set():
                warned.set()
                (leaving,) = [node for node in started if node.busy]
                leaving.announce_end(ray_cluster)
                left.append(leaving)
            elif "a node goes away: saved epoch" in line and not gone.is_set():
                gone.set()
                left[0].kill()

        output = train(disturb, run_name="disturbed", cpus_per_worker=CPUS, **SLOW)
    assert gone.is_set(), output.text
    assert output.status == 0, output.text
    assert sorted(set(output.epochs)) == [1, 2, 3, 4, 5, 6]
    client = mlflow.MlflowClient(mlflow_server.url, mlflow_server.url)
    wanted, found = (
        [metric.value for metric in client.get_metric_history(run.result["run_id"], "loss")]
        for run in (reference, output)
    )
    assert found == wanted, "it went on between two steps as if nothing had happened"
