"""The cluster's control groups, in every hierarchy of cgroup v1 and in the one of v2."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from pathlib import Path

_CONTROL = "control"  # our own processes; pods live beside it in `kubepods`, which the kubelet makes
# What the kubelet insists on finding in its root on v2, and io, which runc uses when it is there.
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "hugetlb", "io")


def hierarchies(mountinfo: str) -> tuple[tuple[Path, ...], Path | None]:
    """(mount points of v1 hierarchies, mount point of v2 or None), parsed from a /proc/self/mountinfo text."""
    first: list[Path] = []
    second: Path | None = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        point, kind = Path(left.split()[4]), right.split()[0]
        if kind == "cgroup" and point not in first:
            first.append(point)
        elif kind == "cgroup2":
            second = second or point
    return tuple(first), second


def create(name: str) -> None:
    """Make `name` in every hierarchy with its `control` group, and delegate all controllers to it on v2."""
    first, second = _mounted()
    for point in first:
        for group in (point / name, point / name / _CONTROL):
            group.mkdir(exist_ok=True)
            _inherit_cpuset(group)
    if second is not None:
        group = second / name
        for parent in (second, group):
            parent.mkdir(exist_ok=True)
            _delegate(parent)
        (group / _CONTROL).mkdir(exist_ok=True)


def enter(name: str) -> None:
    """Move this process into `control`, out of the session that started it: a logout ends what is left in there."""
    first, second = _mounted()
    for point in (*first, second):
        if point is not None:
            (point / name / _CONTROL / "cgroup.procs").write_text("0")


def processes(name: str) -> set[int]:
    found: set[int] = set()
    for group in _groups(name):
        with contextlib.suppress(OSError, ValueError):
            found.update(int(pid) for pid in (group / "cgroup.procs").read_text().split())
    return found - {0}  # 0: a process that this PID namespace cannot see


def exists(name: str) -> bool:
    return any((point / name).exists() for point in _points())


def remove(name: str, *, patience_s: float = 5.0) -> None:
    """Kill what is left in `name` and remove it everywhere; TimeoutError when a group stays busy."""
    deadline = time.monotonic() + patience_s
    while not _removed(name):
        if time.monotonic() > deadline:
            raise TimeoutError(f"control group {name} is still in use by {sorted(processes(name))}")
        for pid in processes(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _removed(name: str) -> bool:
    done = True
    for group in _groups(name):
        try:
            group.rmdir()
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
            done = False
    return done


def _groups(name: str) -> list[Path]:
    """Every group below and including `name`, deepest first."""
    found: list[Path] = []
    for point in _points():
        for folder, _, _ in os.walk(point / name, topdown=False):
            found.append(Path(folder))
    return found


def _points() -> tuple[Path, ...]:
    first, second = _mounted()
    return (*first, second) if second is not None else first


def _mounted() -> tuple[tuple[Path, ...], Path | None]:
    return hierarchies(Path("/proc/self/mountinfo").read_text())


def _inherit_cpuset(group: Path) -> None:
    # A v1 cpuset group starts with no CPU and no memory node and takes no process until it has some.
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = group / name
        if file.exists() and not file.read_text().strip():
            file.write_text((group.parent / name).read_text())


def _delegate(group: Path) -> None:
    available = (group / "cgroup.controllers").read_text().split()
    for controller in _CONTROLLERS:
        if controller in available:
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
