"""A running cluster, as the other parts of the local cloud use it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from local.cluster import names, syscalls

Result = TypeVar("Result")


@dataclass(frozen=True)
class Cluster:
    """`supervisor` is the host's process id of the node's PID 1; it stands for all of the node's namespaces, which have
    no other name on the host, and it changes with every start."""

    instance: str
    state_dir: Path
    kubeconfig: Path
    supervisor: int

    @property
    def network(self) -> Path:
        """The cluster's network namespace."""
        return Path(f"/proc/{self.supervisor}/ns/net")

    @property
    def root(self) -> Path:
        """The node's file system as it can be read from the host; its sockets can be connected to by these paths."""
        return Path(f"/proc/{self.supervisor}/root")

    def exec_in_netns(self, *command: str) -> list[str]:
        """Command line that runs `command`, a program of the host, in the cluster's network."""
        return ["nsenter", f"--net={self.network}", "--", *command]

    def ctr(self, *arguments: str) -> list[str]:
        """Command line of containerd's client for the images and containers of Kubernetes. It reads and writes files
        of the host."""
        address = f"{self.root}{names.CONTAINERD_SOCKET}"
        return ["ctr", "--address", address, "--namespace", "k8s.io", *arguments]

    def in_netns(self, action: Callable[[], Result]) -> Result:
        """Call `action` in a thread that stands in the cluster's network; raises what it raises, and OSError when the
        cluster is gone."""
        results: list[Result] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                with self.network.open() as namespace:
                    syscalls.setns(namespace.fileno(), syscalls.CLONE_NEWNET)
                results.append(action())
            except BaseException as error:  # handed to the caller
                errors.append(error)

        thread = threading.Thread(target=work, name="in-cluster-network")
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]
