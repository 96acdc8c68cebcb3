"""The way of the scene models into the registry: good enough in itself, and no worse than the champion on the same
held-out scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mlflow
import numpy as np
from torch import nn

from payloads.common.tracking import TrackedRun
from payloads.training import register
from payloads.training.evaluate import Verdict
from payloads.vision import evaluate
from payloads.vision.scenes import CLASSES, Scene
from payloads.vision.settings import VisionSettings
from payloads.vision.tasks import TASKS


@dataclass(frozen=True)
class Judged:
    """`metrics` are what was measured; models are compared by `score`; `failings` say what is not good enough."""

    metrics: dict[str, float]
    score: float
    failings: tuple[str, ...]


def judge_detector(model: nn.Module, scenes: Sequence[Scene], settings: VisionSettings) -> Judged:
    found = evaluate.detection(model, scenes)
    failings = () if found.f1 >= settings.gate_f1 else (f"F1 {found.f1:.4f} is below the gate of {settings.gate_f1}",)
    return Judged({"recall": found.recall, "precision": found.precision, "f1": found.f1}, found.f1, failings)


def judge_reader(model: nn.Module, scenes: Sequence[Scene], settings: VisionSettings) -> Judged:
    found = evaluate.reading(model, scenes)
    failings = []
    if found.accuracy < settings.gate_accuracy:
        failings.append(f"accuracy {found.accuracy:.4f} is below the gate of {settings.gate_accuracy}")
    if found.point_error > settings.gate_points:
        failings.append(f"points are {found.point_error:.2f} pixels off, above the gate of {settings.gate_points}")
    metrics = {"accuracy": found.accuracy, "point_error": found.point_error}
    return Judged(metrics, found.accuracy, tuple(failings))


JUDGES: dict[str, Callable[[nn.Module, Sequence[Scene], VisionSettings], Judged]] = {
    "detector": judge_detector,
    "reader": judge_reader,
}


def verdict(challenger: Judged, champion: Judged | None) -> Verdict:
    """An equal score passes, so that a retrained model of new code can take over."""
    if challenger.failings:
        return Verdict(False, " and ".join(challenger.failings))
    if champion is not None and challenger.score < champion.score:
        return Verdict(False, f"score {challenger.score:.4f} is below the champion's {champion.score:.4f}")
    rival = "there was no champion" if champion is None else f"the champion has {champion.score:.4f}"
    return Verdict(True, f"score {challenger.score:.4f} passes the gate and {rival}")


def submit(
    name: str,
    model: nn.Module,
    scenes: Sequence[Scene],
    settings: VisionSettings,
    client: mlflow.MlflowClient,
    run: TrackedRun,
) -> dict[str, Any]:
    """Log `model` with `run` and make it the champion if it passes; what became of it. May be repeated."""
    judge = JUDGES[name]
    registered_name = settings.detector_name if name == "detector" else settings.reader_name
    judged = judge(model, scenes, settings)
    for metric, value in judged.metrics.items():
        client.log_metric(run.id, f"test_{metric}", value, step=0)
    example = np.zeros((2, *TASKS[name].shape), np.float32)
    uri = register.log_model(run, model, example, CLASSES)
    champion = register.load_champion(client, registered_name)
    found = verdict(judged, None if champion is None else judge(champion.model, scenes, settings))
    tags = {"run": settings.run_name, **{metric: f"{value:.4f}" for metric, value in judged.metrics.items()}}
    version = register.settle(client, registered_name, uri, run, found, tags, subject=name)
    return {"model": registered_name, "version": version, "registered": found.passed, **judged.metrics}
