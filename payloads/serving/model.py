"""The model that a replica serves: loaded from the registry, run on batches of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mlflow
import numpy as np
import torch
from mlflow.exceptions import MlflowException
from torch import nn

from payloads.common.errors import PayloadError
from payloads.common.settings import Platform
from payloads.common.tracking import connect, explained
from payloads.data.digits import INTENSITY_MAX, PIXELS
from payloads.serving.answers import ModelCard
from payloads.serving.prepack import prepack


@dataclass(frozen=True)
class Predictions:
    """Class positions and probabilities of each row, as plain lists: they go into JSON next."""

    classes: list[int]
    confidences: list[float]


@dataclass(frozen=True)
class ServedModel:
    """A module of raw pixels -> logits, and what it is."""

    module: nn.Module
    card: ModelCard
    device: torch.device

    @torch.inference_mode()
    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Probability of each class for float32 rows of shape (n, 64): float32 of shape (n, classes)."""
        return torch.softmax(self.module(torch.from_numpy(rows).to(self.device)), dim=1).cpu().numpy()

    @torch.inference_mode()
    def predict(self, rows: np.ndarray) -> Predictions:
        """Predict float32 rows of shape (n, 64)."""
        logits = self.module(torch.from_numpy(rows).to(self.device))
        confidences, classes = torch.softmax(logits, dim=1).max(dim=1)
        return Predictions(classes.tolist(), confidences.tolist())

    def check(self) -> None:
        """Raise RuntimeError if the model no longer computes: a lost GPU shows here, not in a ping."""
        confidence = self.predict(np.zeros((2, PIXELS), np.float32)).confidences[0]
        if not 0 <= confidence <= 1:
            raise RuntimeError(f"the model answers with a probability of {confidence}")


def claim_device(resources: Mapping[str, float]) -> torch.device:
    """The device that Ray assigned, and no more threads than CPUs: with two on one core a batch of 8 took 70 times
    as long, each waiting for the other to be scheduled."""
    torch.set_num_threads(max(1, int(resources.get("CPU", 1))))
    return torch.device("cuda" if resources.get("GPU", 0) else "cpu")


def load(platform: Platform, name: str, alias: str, device: torch.device, batch_rows: int) -> ServedModel:
    """Load the version behind `alias`; see `load_version`. Resolved once, so what is reported is what is served."""
    return load_version(platform, name, find_version(platform, name, alias), device, batch_rows)


def find_version(platform: Platform, name: str, alias: str) -> str:
    """The version that `alias` points to now; raises PayloadError if there is none."""
    with explained(platform):
        try:
            return str(connect(platform).get_model_version_by_alias(name, alias).version)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise PayloadError(
                f"the registry {platform.mlflow_uri} has no model {name} with alias {alias}: "
                "train one that passes the gate"
            ) from None


def load_version(platform: Platform, name: str, number: str, device: torch.device, batch_rows: int) -> ServedModel:
    """Load one version, prepared for batches of `batch_rows`; raises PayloadError if it does not take 64 pixels."""
    with explained(platform):
        version = connect(platform).get_model_version(name, number)
        uri = f"models:/{name}/{number}"
        info = mlflow.models.get_model_info(uri)
        module = mlflow.pytorch.load_model(uri, device=str(device))
    shape = info.signature.inputs.inputs[0].shape if info.signature else None
    if shape != (-1, PIXELS):
        raise PayloadError(f"model {name} version {number} takes inputs of shape {shape}, not (-1, {PIXELS})")
    card = ModelCard(
        model_name=name,
        model_version=number,
        run_id=version.run_id,
        classes=list((info.metadata or {})["classes"]),
        inputs=PIXELS,
        tags=dict(version.tags),
    )
    example = torch.rand(batch_rows, PIXELS, generator=torch.Generator().manual_seed(0)) * INTENSITY_MAX
    return ServedModel(module=prepack(module, example.to(device)), card=card, device=device)
