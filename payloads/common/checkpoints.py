"""Training state on disk, in a form that is loaded without running code from the file.

Beside each file lies its digest. A file that was cut off or has a flipped bit may still load, as other weights; its
digest tells, and the checkpoint before it is used.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

STATE_FILE = "state.pt"
DIGEST = ".sha256"


class DamagedError(Exception):
    """A checkpoint is not what was written; the text says which file."""


def save_state(folder: str, state: dict[str, Any]) -> None:
    """Write what every rank shares: weights, optimizer, schedule, epoch, history."""
    _save(Path(folder) / STATE_FILE, state)


def load_state(folder: str) -> dict[str, Any]:
    """Read what `save_state` wrote; tensors come to the CPU, so that a run may resume on other hardware."""
    return _load(Path(folder) / STATE_FILE)


def save_rank_state(folder: str, rank: int, state: dict[str, Any]) -> None:
    """Write what is each rank's own: its random generators. Ray merges the ranks' folders into one checkpoint."""
    _save(Path(folder) / _rank_file(rank), state)


def load_rank_state(folder: str, rank: int) -> dict[str, Any] | None:
    """Read what this rank wrote; None if the run resumes with more workers than it had."""
    path = Path(folder) / _rank_file(rank)
    return _load(path) if path.exists() else None


def sign(path: Path) -> None:
    """Put the digest of a file beside it; `verify` wants it."""
    path.with_name(path.name + DIGEST).write_text(hashlib.sha256(path.read_bytes()).hexdigest())


def verify(folder: str) -> None:
    """Raise DamagedError unless the state is there and every file is what was written."""
    if not (Path(folder) / STATE_FILE).exists():
        raise DamagedError(f"{STATE_FILE} is missing")
    for path in sorted(Path(folder).glob("*.pt")):
        digest = path.with_name(path.name + DIGEST)
        if not digest.exists() or digest.read_text() != hashlib.sha256(path.read_bytes()).hexdigest():
            raise DamagedError(f"{path.name} is not what was written")


def _save(path: Path, state: dict[str, Any]) -> None:
    import torch

    torch.save(state, path)
    sign(path)


def _load(path: Path) -> dict[str, Any]:
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def _rank_file(rank: int) -> str:
    return f"rank-{rank:04d}.pt"
