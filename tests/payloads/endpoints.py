"""Every HTTP endpoint of the catalogue, in one process: its own HTTP code, without the ways between deployments.

A new endpoint is one line in ENDPOINTS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.fs
import pytest
import ray
import torch
from quick import Quick
from starlette.types import ASGIApp

from payloads.common.storage import Storage
from payloads.serving import model
from payloads.serving.answers import ModelCard
from payloads.serving.bandit import learner
from payloads.serving.bandit.app import Bandit, BanditArgs
from payloads.serving.business import keys
from payloads.serving.business.ingress import Business
from payloads.serving.business.ledger import Ledger
from payloads.serving.business.settings import BusinessArgs
from payloads.serving.business.tariff import Tariff, TariffArgs
from payloads.serving.classifier import Classifier
from payloads.serving.ensemble import Ensemble, EnsembleArgs
from payloads.serving.many import Many, ManyArgs
from payloads.serving.member import Member
from payloads.serving.model import ServedModel
from payloads.serving.settings import ClassifierArgs, MemberArgs


@dataclass(frozen=True)
class Surroundings:
    """What an endpoint finds: a model that is trained, a folder, and `patch` for what only a cluster has."""

    quick: Quick
    folder: Path
    patch: pytest.MonkeyPatch


class Handle:
    """A deployment's handle without the way there."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=getattr(self.target, name))

    def options(self, **_: Any) -> Handle:
        return self


def served(quick: Quick) -> ServedModel:
    card = ModelCard(
        model_name="digits", model_version="7", run_id=None, classes=list(quick.classes), inputs=64, tags={}
    )
    return ServedModel(quick.model, card, torch.device("cpu"))


def _without_registry(around: Surroundings) -> None:
    around.patch.setenv("MANTA_STORAGE", "s3://unused")
    around.patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    context = SimpleNamespace(get_assigned_resources=dict)
    around.patch.setattr(ray, "get_runtime_context", lambda: context)
    around.patch.setattr(model, "load_version", lambda *_: served(around.quick))


def classifier(around: Surroundings) -> Classifier:
    _without_registry(around)
    made = Classifier(ClassifierArgs(model_version="7"))

    async def infer(rows: np.ndarray) -> model.Predictions:
        return made.model.predict(rows)

    made.collector.infer = infer  # batches are Serve's, and need it
    return made


def member(around: Surroundings, name: str) -> Handle:
    _without_registry(around)
    made = Member(MemberArgs(name=name, model_name="digits", version="7"))

    async def infer(rows: np.ndarray) -> np.ndarray:
        return made.model.probabilities(rows)

    made.infer = infer  # type: ignore[method-assign]  batches are Serve's, and need it
    return Handle(made)


def ensemble(around: Surroundings) -> Ensemble:
    names = ["one", "other"]
    args = EnsembleArgs(members=[MemberArgs(name=name, model_name="digits") for name in names], deadline_s=30)
    handles: Any = {name: member(around, name) for name in names}
    return Ensemble(args, handles, None)


def many(around: Surroundings) -> Many:
    found = served(around.quick)

    class Host:
        async def tag(self, rows: np.ndarray) -> dict[str, Any]:
            answer = found.predict(rows)
            label, confidence = found.card.classes[answer.classes[0]], min(answer.confidences[0], 1.0)
            return {"label": label, "confidence": confidence, "model_version": "7"}

    return Many(ManyArgs(models=["digits", "wide"]), Handle(Host()))  # type: ignore[arg-type]


def bandit(around: Surroundings) -> Bandit:
    (around.folder / "bandits" / "fuzz" / "segments").mkdir(parents=True)
    storage = Storage(pyarrow.fs.LocalFileSystem(), str(around.folder))  # type: ignore[arg-type]
    around.patch.setenv("MANTA_STORAGE", "s3://unused")
    around.patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    around.patch.setattr(learner, "open_storage", lambda _: storage)
    around.patch.setattr(learner, "GATHER_S", 0.0)
    around.patch.setattr(
        learner,
        "find_or_start",
        lambda name, arms, features: Handle(learner.Learner(f"bandits/{name}", arms, features)),
    )
    return Bandit(BanditArgs(name="fuzz", arms=["a", "b"], features=3))


KEY, ENTRY = keys.make("acme")


def business(around: Surroundings) -> Business:
    around.patch.setenv(keys.VARIABLE, ENTRY)
    args = BusinessArgs.model_validate(
        {"ledger": {"path": str(around.folder / "decisions.sqlite"), "rate": "1000000/minute"}, "rules": {"sure": 1}}
    )
    # Never sure, so that no carrier is asked: test_business.py has one.
    return Business(args, member(around, "reader"), Handle(Ledger(args.ledger)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Endpoint:
    """`make` gives the ingress. `good` has a body that each of its POST paths takes, `headers` what it asks for beside
    that, `credentials` what goes with every request, and `beyond` paths whose schema cannot say all that a good request
    needs."""

    name: str
    make: Callable[[Surroundings], Any]
    good: Mapping[str, dict[str, Any]]
    headers: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)
    beyond: frozenset[str] = frozenset()

    def app(self, around: Surroundings) -> ASGIApp:
        return self.make(around).__serve_build_asgi_app__()


PIXELS = [0.0, 16, 3.5, 1] * 16
PARCEL = {"weight_kg": 2.5, "declared_value_cents": 100, "pixels": PIXELS}

ENDPOINTS = [
    Endpoint("classifier", classifier, {"/predict": {"rows": [PIXELS, PIXELS]}}),
    Endpoint("ensemble", ensemble, {"/predict": {"pixels": PIXELS}}),
    Endpoint("many", many, {"/tag": {"models": ["digits", "wide"], "pixels": PIXELS}}),
    # A decision is a token that the bandit gave.
    Endpoint("bandit", bandit, {"/choose": {"context": [1, 0.5, -2]}}, beyond=frozenset({"/feedback"})),
    # A key that was used for one parcel is refused for the next.
    Endpoint(
        "business",
        business,
        {"/decisions": PARCEL},
        {"idempotency-key": "one"},
        {"x-api-key": KEY},
        frozenset({"/decisions"}),
    ),
    Endpoint("tariff", lambda _: Tariff(TariffArgs()), {}, beyond=frozenset({"/quote"})),
]
