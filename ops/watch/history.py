"""A run's epochs: how many, how fast, and how long the rest takes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, cast

_BARS = "▁▂▃▄▅▆▇█"
# The rest is foretold from the newest epochs: a run that was resumed elsewhere has another pace than before.
_RECENT = 10


@dataclass(frozen=True)
class Epoch:
    """One point of MLflow's history; `at` in seconds since 1970."""

    number: int
    loss: float
    at: float


@dataclass(frozen=True)
class History:
    """`total` is 0 where the run does not say how many epochs it will have."""

    epochs: tuple[Epoch, ...] = ()
    total: int = 0
    accuracy: float | None = None

    @property
    def done(self) -> int:
        return self.epochs[-1].number if self.epochs else 0

    @property
    def left_seconds(self) -> float | None:
        """None until two epochs say how long one takes, and where the end is not known."""
        recent = self.epochs[-_RECENT:]
        # Neighbours alone: a gap in the numbers is an interruption, whose wait will not come with each epoch.
        steps = [b.at - a.at for a, b in pairwise(recent) if b.number == a.number + 1]
        if not steps or not self.total:
            return None
        return max(0, self.total - self.done) * median(steps)

    @property
    def interruptions(self) -> int:
        """How often the run stood still for much longer than an epoch takes, or did epochs again."""
        if len(self.epochs) < 3:
            return 0
        steps = [b.at - a.at for a, b in pairwise(self.epochs)]
        return sum(step > 10 * median(steps) + 5 for step in steps)


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """The newest `width` values as bars from the least to the greatest of them."""
    shown = list(values)[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in shown)


def read(run: Mapping[str, Any], losses: Mapping[str, Any]) -> History:
    """From MLflow's answers to `runs/search` (its one run) and `metrics/get-history` of the loss."""
    points = cast(list[Mapping[str, Any]], losses.get("metrics") or [])
    newest = {int(each["step"]): each for each in sorted(points, key=lambda each: each["timestamp"])}
    epochs = tuple(
        Epoch(step, float(newest[step]["value"]), float(newest[step]["timestamp"]) / 1000) for step in sorted(newest)
    )
    data = cast(Mapping[str, Any], run.get("data") or {})
    parameters = {str(each["key"]): each["value"] for each in data.get("params") or ()}
    metrics = {str(each["key"]): each["value"] for each in data.get("metrics") or ()}
    total = str(parameters.get("epochs", "0"))
    accuracy = metrics.get("accuracy")
    return History(epochs, int(total) if total.isdigit() else 0, None if accuracy is None else float(accuracy))
