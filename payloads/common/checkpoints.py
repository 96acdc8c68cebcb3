"""Training state on disk, in a form that is loaded without running code from the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

STATE_FILE = "state.pt"


def save_state(folder: str, state: dict[str, Any]) -> None:
    """Write what every rank shares: weights, optimizer, schedule, epoch, history."""
    import torch

    torch.save(state, Path(folder) / STATE_FILE)


def load_state(folder: str) -> dict[str, Any]:
    """Read what `save_state` wrote; tensors come to the CPU, so that a run may resume on other hardware."""
    import torch

    return torch.load(Path(folder) / STATE_FILE, map_location="cpu", weights_only=True)


def save_rank_state(folder: str, rank: int, state: dict[str, Any]) -> None:
    """Write what is each rank's own: its random generators. Ray merges the ranks' folders into one checkpoint."""
    import torch

    torch.save(state, Path(folder) / _rank_file(rank))


def load_rank_state(folder: str, rank: int) -> dict[str, Any] | None:
    """Read what this rank wrote; None if the run resumes with more workers than it had."""
    import torch

    path = Path(folder) / _rank_file(rank)
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None


def _rank_file(rank: int) -> str:
    return f"rank-{rank:04d}.pt"
