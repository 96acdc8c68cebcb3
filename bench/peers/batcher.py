"""The peers' own batching and model: what the servers have in common, so that only the servers differ."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

MAX_BATCH = 64
MAX_WAIT_S = 0.005


class PredictRequest(BaseModel):
    """One image of 64 numbers, as strictly typed as our own."""

    model_config = ConfigDict(extra="forbid", strict=True)

    pixels: Annotated[list[FiniteFloat], Field(min_length=64, max_length=64)]


class PredictAnswer(BaseModel):
    """What our own server answers."""

    model_config = ConfigDict(protected_namespaces=())

    label: str
    confidence: float
    model_version: str
    request_id: str


class Model:
    """The exported model, run as torch runs it, on one thread: two would fight over two busy cores."""

    def __init__(self, path: str) -> None:
        torch.set_num_threads(1)
        self.module = torch.export.load(path).module()

    @torch.inference_mode()
    def __call__(self, rows: list[list[float]]) -> list[tuple[float, int]]:
        """Confidence and class of each row."""
        confidence, label = torch.softmax(self.module(torch.tensor(rows)), dim=1).max(dim=1)
        return list(zip(confidence.tolist(), label.tolist(), strict=True))
