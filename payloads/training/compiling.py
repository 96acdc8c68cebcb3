"""torch.compile, asked for by a setting."""

from __future__ import annotations

import os
import shutil

from torch import nn

from payloads.common.errors import PayloadError


def compile_in_place(network: nn.Module, backend: str = "inductor") -> None:
    """Compile `network` at its next call; the names of its weights stay what they are.

    Raises PayloadError where there is no C++ compiler: torch would say so in a page of its own internals.
    """
    if not any(shutil.which(name) for name in (os.environ.get("CXX"), "g++", "clang++") if name):
        raise PayloadError(
            "compile needs a C++ compiler where the Ray workers run: add g++ to the image, or leave compile off"
        )
    network.compile(backend=backend)
