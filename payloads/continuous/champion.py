"""The champion and what it has seen: the lineage that its own MLflow run carries.

Kept there and not beside it, so that moving the alias back to an earlier version moves back what counts as seen.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import mlflow
import torch
from torch import nn

from payloads.continuous.settings import ContinuousSettings
from payloads.data.scaler import Scaler
from payloads.training import register

FILE = "partitions.json"


@dataclass(frozen=True)
class Lineage:
    """What a model is made of. `partitions` are fingerprints by name; `shape` and `split` must be those of who goes on
    with its weights: another network cannot take them, and under another split they have seen the held-out rows."""

    dataset: str
    classes: list[str]
    shape: dict[str, int]
    split: dict[str, float]
    partitions: dict[str, str]

    def differs(self, other: Lineage) -> str | None:
        """What keeps `other` from going on with this model's weights, in words; None if nothing does."""
        for name in ("dataset", "classes", "shape", "split"):
            mine, its = getattr(self, name), getattr(other, name)
            if mine != its:
                return f"its {name} is {mine} and this run's {its}"
        return None


@dataclass(frozen=True)
class Champion:
    """`lineage` is None for a model that was not made by continuous training: nobody knows what it has seen."""

    version: str
    run_id: str
    model: nn.Module
    lineage: Lineage | None

    @property
    def network(self) -> dict[str, torch.Tensor]:
        """The network's weights, under the names that `Mlp` has for them."""
        prefix = "network."
        return {
            name.removeprefix(prefix): value.detach().clone()
            for name, value in self.model.state_dict().items()
            if name.startswith(prefix)
        }

    @property
    def scaler(self) -> Scaler:
        state = self.model.state_dict()
        return Scaler(mean=state["mean"].numpy().copy(), scale=state["scale"].numpy().copy())


def of_settings(settings: ContinuousSettings, partitions: dict[str, str]) -> Lineage:
    return Lineage(
        dataset=settings.dataset,
        classes=list(settings.labels),
        shape={"hidden": settings.hidden, "depth": settings.depth},
        split={
            "seed": settings.split_seed,
            "validation": settings.validation_fraction,
            "test": settings.test_fraction,
        },
        partitions=partitions,
    )


def find(client: mlflow.MlflowClient, name: str) -> Champion | None:
    """The model that the alias points to; raises PayloadError if it cannot be loaded.

    Only who holds the lease may ask.
    """
    found = register.load_champion(client, name)
    if found is None:
        return None
    run_id = client.get_model_version(name, found.version).run_id
    lineage = _read(client, run_id)
    if lineage is not None and client.get_run(run_id).info.status != "FINISHED":
        # Its driver died when the model was registered and before that was noted; there is nothing left to do.
        client.set_terminated(run_id, "FINISHED")
    return Champion(str(found.version), run_id, found.model, lineage)


def leave(client: mlflow.MlflowClient, run_id: str, lineage: Lineage) -> None:
    """Write `lineage` to the run; before its model is registered, so that no champion is without."""
    client.log_dict(run_id, asdict(lineage), FILE)


def _read(client: mlflow.MlflowClient, run_id: str) -> Lineage | None:
    if FILE not in [entry.path for entry in client.list_artifacts(run_id)]:
        return None
    return Lineage(**json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{FILE}")))
