"""Mixed precision: products in 16 bits, weights and what is added up in 32."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from payloads.training.settings import Precision

_TYPES = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Arithmetic:
    """Autocast for the forward pass, and the scaling of the loss that float16 needs: its gradients would round to 0.

    With float32 every step is what it is without this class, to the last bit.
    """

    def __init__(self, precision: Precision = "float32", device: str = "cpu") -> None:
        self.type = _TYPES[precision]
        self.device = device
        self.scaler = torch.amp.GradScaler(device, enabled=precision == "fp16")

    def autocast(self) -> AbstractContextManager[Any]:
        return contextlib.nullcontext() if self.type is None else torch.autocast(self.device, dtype=self.type)

    def step(self, optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], gradient_clip: float) -> None:
        """Clip the true gradients and step; float16 gradients that are not finite are left out, and scaled less."""
        self.scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(parameters, gradient_clip)
        self.scaler.step(optimizer)
        self.scaler.update()
