"""Ray nodes of their own processes on this machine, which join the tests' Ray and can be taken away."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
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
    """A node that is there once `names` has been asked for the names of all that were started."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.id = ""
        self.process = subprocess.Popen(
            [RAY, "start", f"--address={address}", f"--num-cpus={CPUS}", "--block", "--disable-usage-stats"],
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
    before = alive()
    started = [Node(address), Node(address)]
    try:
        deadline = time.monotonic() + START_S
        while len(new := alive() - before) < len(started):
            assert time.monotonic() < deadline, "the Ray nodes did not start"
            time.sleep(0.2)
        # Which process is which node is in the raylet's command line.
        for node in started:
            text = " ".join(" ".join(child.cmdline()) for child in psutil.Process(node.process.pid).children())
            (node.id,) = [name for name in new if name in text]
        yield started
    finally:
        for node in started:
            node.end()
        # `ray start` names its cluster as the one that everything on this machine shall join.
        reset_ray_address()


def alive() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}
