"""A trained recommender in the registry: the ranker as MLflow's model, and the catalogue in the same version."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import torch
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from torch import nn

from payloads.common.errors import PayloadError
from payloads.common.tracking import TrackedRun
from payloads.recommend import catalogue
from payloads.recommend.catalogue import Catalogue
from payloads.recommend.dataset import Interactions
from payloads.recommend.model import Recommender
from payloads.recommend.steps import vectors
from payloads.training import register


@dataclass(frozen=True)
class Loaded:
    """One version: what retrieval and what ranking need."""

    catalogue: Catalogue
    ranker: nn.Module
    version: str


def catalogue_of(network: Recommender, data: Interactions) -> Catalogue:
    """What retrieval needs. A user has seen the held-out items too: they are not recommended once judging is over."""
    user_vectors, item_vectors = vectors(network.ranker.towers)
    offsets, history = data.seen((data.train, data.validation, data.test))
    return Catalogue(
        users=np.array(data.users),
        items=np.array(data.items),
        user_vectors=user_vectors,
        item_vectors=item_vectors,
        counts=data.counts(),
        offsets=offsets,
        history=history,
    )


def log(run: TrackedRun, ranker: nn.Module, table: Catalogue) -> str:
    """Log both as one model with the run; its models:/ URI. Repeated, it gives the one logged before."""
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.int64), (-1, 2), "user_item")]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, 1), "score")]),
    )
    example = np.zeros((2, 2), np.int64)
    with tempfile.TemporaryDirectory() as folder:
        file = table.write(Path(folder))
        size = {"users": len(table.users), "items": len(table.items)}
        return register.log_module(run, ranker, example, signature, size, [str(file)])


def load(name: str, version: str, device: torch.device | None = None) -> Loaded:
    """Version `version` of the model `name`; MLflow must be connected."""
    with tempfile.TemporaryDirectory() as folder:
        path = mlflow.artifacts.download_artifacts(f"models:/{name}/{version}", dst_path=folder)
        found = list(Path(path).rglob(catalogue.FILE))
        if not found:
            raise PayloadError(f"model {name} version {version} has no {catalogue.FILE}: it is no recommender")
        table = catalogue.read(found[0])
        ranker = mlflow.pytorch.load_model(path, device=str(device) if device else None)
    return Loaded(table, ranker, version)
