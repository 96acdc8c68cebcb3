"""Random number generators: seeded, saved with a checkpoint and put back."""

from __future__ import annotations

import os
import random
from typing import Any


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (every device)."""
    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def only_repeatable_kernels() -> None:
    """Have torch use kernels that repeat to the last bit, and raise where there is none.

    Must come before the first matrix product on a GPU: cuBLAS reads its workspace's size once.
    """
    import torch

    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def generator_state() -> dict[str, Any]:
    """State of torch's generators, of a form that `torch.load(weights_only=True)` reads back.

    Only torch's: the training loop draws from nothing else, and a pickled Python or NumPy state would force
    `weights_only=False` upon every reader.
    """
    import torch

    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_generator_state(state: dict[str, Any]) -> None:
    """Put back what `generator_state` returned; a CUDA state is ignored where there is no CUDA device."""
    import torch

    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
