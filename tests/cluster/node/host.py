"""What a cluster could leave behind on this machine, as far as other programs do not change it all the time."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.cluster import cgroups
from local.cluster.handle import Cluster

_TUNABLES = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")
NAMESPACES = ("net", "mnt", "pid", "ipc", "uts")


@dataclass(frozen=True)
class Snapshot:
    mounts: frozenset[str]
    links: frozenset[str]
    named_namespaces: frozenset[str]
    firewall: str
    routes: str
    tunables: tuple[str, ...]


def snapshot() -> Snapshot:
    return Snapshot(
        mounts=frozenset(Path("/proc/self/mountinfo").read_text().splitlines()),
        links=_names(Path("/sys/class/net")),
        named_namespaces=_names(Path("/run/netns")),
        firewall=_output("iptables-save"),
        routes=_output("ip", "route", "show", "table", "all"),
        tunables=tuple((Path("/proc/sys") / name).read_text().strip() for name in _TUNABLES),
    )


def namespaces_of(cluster: Cluster) -> set[str]:
    """Identities (`net:[4026532001]`) of every namespace that a process of the cluster stands in, pods included, and
    the host does not."""
    inside: set[str] = set()
    for pid in cgroups.processes(cluster.instance):
        inside.update(_namespaces(pid))
    return inside - _namespaces(os.getpid())


def processes_in(namespaces: set[str]) -> set[int]:
    pids = (int(name) for name in _names(Path("/proc")) if name.isdigit())
    return {pid for pid in pids if _namespaces(pid) & namespaces}


def listeners() -> dict[int, set[str]]:
    """Port -> addresses (as /proc/net writes them) of everything that listens in this network namespace."""
    found: dict[int, set[str]] = {}
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{family}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A":
                address, _, port = local.partition(":")
                found.setdefault(int(port, 16), set()).add(address)
    return found


def _namespaces(pid: int) -> set[str]:
    found: set[str] = set()
    for kind in NAMESPACES:
        try:
            found.add(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
        except OSError:
            continue
    return found


def _names(folder: Path) -> frozenset[str]:
    return frozenset(entry.name for entry in folder.iterdir()) if folder.exists() else frozenset()


def _output(*command: str) -> str:
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in text.splitlines() if not line.startswith(("#", ":")))  # dates and packet counts
