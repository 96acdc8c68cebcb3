"""What the cluster's processes are doing."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.cluster import lock, names
from local.cluster.api import Api, ApiUnavailableError
from local.cluster.handle import Cluster
from local.cluster.layout import Layout
from local.cluster.spec import NodeSpec
from local.settings import LocalSettings

STATUS_FILE = "status.json"
SPEC_FILE = "node.json"


@dataclass(frozen=True)
class ComponentStatus:
    """`pid` is the host's; `uptime_s` seconds since the last start; `restarts` since the cluster came up."""

    name: str
    pid: int | None
    healthy: bool
    uptime_s: float
    restarts: int
    last_exit: str


@dataclass(frozen=True)
class ClusterStatus:
    running: bool
    components: tuple[ComponentStatus, ...] = ()

    @property
    def healthy(self) -> bool:
        return self.running and all(component.healthy for component in self.components)


def find(settings: LocalSettings) -> Cluster | None:
    """The running cluster, healthy or not."""
    pid = lock.holder(Layout(settings.state_dir).run / lock.FILE)
    return Cluster(settings.instance, settings.state_dir, settings.kubeconfig, pid) if pid else None


def status(settings: LocalSettings) -> ClusterStatus:
    """Look at every process and ask each whether it is well; takes well under a second."""
    cluster = find(settings)
    if cluster is None:
        return ClusterStatus(running=False)
    layout = Layout(settings.state_dir)
    recorded = read(layout)
    pids = _host_pids(cluster.supervisor)
    found: list[ComponentStatus] = []
    for component in NodeSpec.read(layout.config / SPEC_FILE).components:
        entry = recorded.get(component.name, {})
        pid = pids.get(entry.get("pid") or 0)
        healthy = pid is not None and _well(component.name, cluster, settings)
        uptime = time.time() - entry["started_at"] if pid else 0.0
        restarts, last_exit = entry.get("restarts", 0), entry.get("last_exit", "")
        found.append(ComponentStatus(component.name, pid, healthy, uptime, restarts, last_exit))
    return ClusterStatus(running=True, components=tuple(found))


def read(layout: Layout) -> dict[str, dict[str, Any]]:
    """The supervisor's own notes, by component; process ids are the node's."""
    try:
        return json.loads((layout.run / STATUS_FILE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def _host_pids(supervisor: int) -> dict[int, int]:
    """Process id on the node -> on the host, of the supervisor's children."""
    try:
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    except OSError:
        return {}
    found: dict[int, int] = {}
    for child in children:
        try:
            text = Path(f"/proc/{child}/status").read_text()
        except OSError:
            continue
        inner = next(line for line in text.splitlines() if line.startswith("NSpid:")).split()[-1]
        found[int(inner)] = int(child)
    return found


def _well(name: str, cluster: Cluster, settings: LocalSettings) -> bool:
    try:
        if name == "apiserver":
            return Api(Layout(settings.state_dir), settings.ports.api).get("/readyz").status == http.HTTPStatus.OK
        if name == "haproxy":
            socket.create_connection(("127.0.0.1", settings.ports.api), timeout=1).close()
            return True
        if name == "containerd":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(f"{cluster.root}{names.CONTAINERD_SOCKET}")
            return True
        probe = _PROBES.get(name)
        return probe is None or cluster.in_netns(probe)
    except (OSError, http.client.HTTPException, ApiUnavailableError):
        return False


def _http(port: int, path: str) -> Callable[[], bool]:
    def probe() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.HTTPStatus.OK
        finally:
            connection.close()

    return probe


def _tcp(port: int) -> Callable[[], bool]:
    def probe() -> bool:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True

    return probe


_PROBES = {
    "etcd": _http(2381, "/health"),
    "controller-manager": _tcp(10257),
    "scheduler": _tcp(10259),
    "kubelet": _http(10248, "/healthz"),
    "proxy": _http(10256, "/healthz"),
    "coredns": _http(8181, "/ready"),
}
