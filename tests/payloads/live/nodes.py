"""Ray nodes of their own processes on this machine, which join the tests' Ray and can be taken away."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import ray
from ray._common.utils import reset_ray_address
from ray._private.state import available_resources_per_node
from ray.core.generated import autoscaler_pb2

RAY = str(Path(sys.executable).with_name("ray"))
# More than the tests' own node has, so that a worker of all but one of them finds its place only here.
CPUS = 10
START_S = 240


class Node:
    """Starts at once; `id` is known when it has joined."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.id = ""
        # What tells it from the others in the list of nodes.
        self.mark = f"node-{uuid.uuid4().hex}"
        self.process = subprocess.Popen(
            [
                *(RAY, "start", f"--address={address}", f"--num-cpus={CPUS}", f'--resources={{"{self.mark}": 1}}'),
                *("--block", "--disable-usage-stats"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def busy(self) -> bool:
        """Whether a worker is on it."""
        return available_resources_per_node()[self.id].get("CPU", 0) < CPUS

    def announce_end(self, left_s: float) -> None:
        """What a node says of itself when its machine is about to go away: the call behind `ray drain-node`."""
        accepted, refusal = ray._raylet.GcsClient(address=self.address).drain_node(
            self.id,
            autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"),
            "spot",
            int((time.time() + left_s) * 1000),
        )
        assert accepted, refusal

    def end(self) -> None:
        """SIGTERM to the raylet, which signs off, and SIGKILL to all that is left."""
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(self.process.pid).children(recursive=True)
            for process in family:
                if process.name() == "raylet":
                    process.terminate()
        for process in psutil.wait_procs(family, timeout=3)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.kill()
        self.process.wait()


@contextmanager
def two_nodes(address: str) -> Iterator[list[Node]]:
    """Two nodes more; both are gone when the block ends."""
    started = [Node(address), Node(address)]
    try:
        deadline = time.monotonic() + START_S
        while not all(node.id for node in started):
            assert time.monotonic() < deadline, "the Ray nodes did not start"
            time.sleep(0.2)
            for known in ray.nodes():
                for node in started:
                    if node.mark in known["Resources"]:
                        node.id = known["NodeID"]
        yield started
    finally:
        for node in started:
            node.end()
        # `ray start` names its cluster as the one that everything on this machine shall join.
        reset_ray_address()
