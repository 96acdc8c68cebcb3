"""Locks of updates that cannot end any more: an engine removes its own, unless it is killed or the machine dies."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any


def release_abandoned(backend: Path, project: str, stack: str) -> None:
    """Delete the locks of `stack` whose engine ran on this machine and runs no more.

    `backend`: folder of a state kept in files. A lock of another machine stays, whatever became of it.
    """
    folder = backend / ".pulumi" / "locks" / "organization" / project / stack
    for lock in folder.glob("*.json"):
        if _is_abandoned(lock):
            lock.unlink(missing_ok=True)


def _is_abandoned(lock: Path) -> bool:
    try:
        holder: Any = json.loads(lock.read_text())
        number, hostname = int(holder["pid"]), str(holder["hostname"])
    except (OSError, ValueError, KeyError, TypeError):
        # Being written, deleted meanwhile, or not the engine's: nothing that may be judged here.
        return False
    return hostname == socket.gethostname() and not _is_engine(number)


def _is_engine(number: int) -> bool:
    """Whether process `number` is a Pulumi engine: after a restart the number may be anybody's."""
    try:
        return Path(f"/proc/{number}/comm").read_text().startswith("pulumi")
    except OSError:
        return False
