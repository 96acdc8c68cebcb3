"""Quality of a model on held-out rows, and whether it may replace the one in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    import ray.data


@dataclass(frozen=True)
class Evaluation:
    """`confusion[i, j]` counts rows of class i that were taken for class j; `loss` is the mean cross entropy."""

    confusion: np.ndarray
    loss: float

    @property
    def rows(self) -> int:
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        return float(np.trace(self.confusion)) / self.rows

    @property
    def recalls(self) -> np.ndarray:
        """Share of each class that was recognised."""
        return np.diag(self.confusion) / np.maximum(self.confusion.sum(axis=1), 1)


@dataclass(frozen=True)
class Verdict:
    passed: bool
    reason: str


@torch.inference_mode()
def evaluate(model: nn.Module, dataset: ray.data.Dataset, classes: int) -> Evaluation:
    """Evaluate a model of raw pixels on `dataset` (columns pixels, target), streamed batch by batch.

    Raises ValueError if the data set is empty: its accuracy would be 0 / 0.
    """
    confusion = np.zeros((classes, classes), np.int64)
    loss = 0.0
    for batch in dataset.iter_batches(batch_size=1024, batch_format="numpy"):
        targets = np.asarray(batch["target"])
        logits = model(torch.from_numpy(np.stack(batch["pixels"]).astype(np.float32)))
        loss += float(nn.functional.cross_entropy(logits, torch.tensor(targets), reduction="sum"))
        np.add.at(confusion, (targets, logits.argmax(dim=1).numpy()), 1)
    if not confusion.sum():
        raise ValueError("cannot evaluate on no rows")
    return Evaluation(confusion=confusion, loss=loss / int(confusion.sum()))


def judge(challenger: Evaluation, champion: Evaluation | None, least_accuracy: float) -> Verdict:
    """The gate: good enough in itself, and no worse than the champion on the same rows.

    An equal accuracy passes, so that a retrained model of new code can take over.
    """
    if challenger.accuracy < least_accuracy:
        return Verdict(False, f"test accuracy {challenger.accuracy:.4f} is below the gate of {least_accuracy:.4f}")
    if champion is not None and challenger.accuracy < champion.accuracy:
        return Verdict(
            False, f"test accuracy {challenger.accuracy:.4f} is below the champion's {champion.accuracy:.4f}"
        )
    rival = "there was no champion" if champion is None else f"the champion has {champion.accuracy:.4f}"
    return Verdict(True, f"test accuracy {challenger.accuracy:.4f} passes the gate of {least_accuracy:.4f} and {rival}")


def as_metrics(evaluation: Evaluation) -> dict[str, Any]:
    """Flat numbers for the tracking server."""
    return {
        "test_accuracy": evaluation.accuracy,
        "test_loss": evaluation.loss,
        "test_rows": evaluation.rows,
        "test_least_recall": float(evaluation.recalls.min()),
    }
