"""Containers as the shutdown sees them: first processes below a containerd shim."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

_SHIM = "containerd-shim"  # what fits of containerd-shim-runc-v2 into the 15 characters that /proc keeps


def first_processes() -> list[int]:
    """Process ids of all containers' first processes, sandboxes' included."""
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit() and _is_first(folder)]


def send(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _is_first(folder: Path) -> bool:
    return _name(_parent(folder)) == _SHIM and _name(int(folder.name)) != _SHIM


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _name(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""
