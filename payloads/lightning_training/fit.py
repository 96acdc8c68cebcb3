"""The distributed part of a training by Lightning, as the driver sees it."""

from __future__ import annotations

from typing import Any

from payloads.common import checkpoints
from payloads.common.storage import Storage
from payloads.common.tracking import TrackedRun
from payloads.data.pipeline import Prepared
from payloads.lightning_training.loop import train_loop
from payloads.lightning_training.module import network_weights
from payloads.lightning_training.settings import LightningSettings
from payloads.training import fit
from payloads.training.model import Classifier, Mlp


def train(settings: LightningSettings, storage: Storage, data: Prepared, run: TrackedRun, key: str) -> Classifier:
    """Train to the last epoch and return the model of the checkpoint with the least validation loss."""

    def epoch(metrics: dict[str, Any]) -> dict[str, Any]:
        # Ray's callback counts epochs from 0 and reports the steps of the whole training.
        named = {name: value for name, value in metrics.items() if name != "step"}
        return {**named, "epoch": int(metrics["epoch"]) + 1, "epochs": settings.epochs, "note": ""}

    fit.check_room(settings)
    config, datasets = fit.given(data)
    best = fit.distribute(train_loop, config, datasets, settings, storage, run, key, epoch)
    network = Mlp(len(data.scaler.mean), len(data.classes), settings.hidden, settings.depth, settings.dropout)
    with best.as_directory() as folder:
        network.load_state_dict(network_weights(checkpoints.load_state(folder)))
    return Classifier(network, data.scaler).eval()
