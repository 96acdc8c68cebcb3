"""The one way into the registry: each model is judged on the held-out rows, and against the champion on the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

import mlflow
import numpy as np
from torch import nn

from payloads.common.tracking import TrackedRun
from payloads.training import evaluate, register
from payloads.training.settings import GateSettings

if TYPE_CHECKING:
    import ray.data


class Source(Protocol):
    """A data set: what it is known by."""

    @property
    def fingerprint(self) -> str: ...


class Scaling(Protocol):
    """What the model does to its inputs first."""

    def to_json(self) -> str: ...


class HeldOut(Protocol):
    """Rows that no model has learnt from: columns pixels (what the model takes, of any shape) and target int64."""

    @property
    def test(self) -> ray.data.Dataset: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def scaler(self) -> Scaling: ...


def submit(
    classifier: nn.Module,
    settings: GateSettings,
    manifest: Source,
    data: HeldOut,
    client: mlflow.MlflowClient,
    run: TrackedRun,
    objection: str | None = None,
) -> dict[str, Any]:
    """Log `classifier` with `run` and make it the champion if it passes; the run's result, whichever way it went.

    `classifier` is a module of float32 rows of pixels -> logits. `objection` says why it must not become the champion
    even if it passes the gate.
    May be repeated: what an earlier attempt has logged or registered is found and not made again.
    """
    classes = len(data.classes)
    evaluation = evaluate.evaluate(classifier, data.test, classes)
    for name, value in evaluate.as_metrics(evaluation).items():
        client.log_metric(run.id, name, value, step=0)
    client.log_text(run.id, data.scaler.to_json(), "scaler.json")
    client.log_text(run.id, json.dumps(evaluation.confusion.tolist()), "confusion.json")
    example = np.stack([row["pixels"] for row in data.test.take(2)]).astype(np.float32)
    uri = register.log_model(run, classifier, example, data.classes)

    champion = register.load_champion(client, settings.model_name)
    rival = None if champion is None else evaluate.evaluate(champion.model, data.test, classes)
    verdict = evaluate.judge(evaluation, rival, settings.gate_accuracy)
    if verdict.passed and objection:
        verdict = evaluate.Verdict(False, objection)
    tags = {"accuracy": f"{evaluation.accuracy:.4f}", "run": settings.run_name, "dataset": manifest.fingerprint}
    version = register.settle(client, settings.model_name, uri, run, verdict, tags)
    return {
        "run": settings.run_name,
        "run_id": run.id,
        "accuracy": evaluation.accuracy,
        "model": settings.model_name,
        "version": version,
        "registered": verdict.passed,
        "reason": verdict.reason,
    }
