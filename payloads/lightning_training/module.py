"""The classifier as a LightningModule."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import nn

from payloads.lightning_training.settings import LightningSettings
from payloads.training.batches import Batch
from payloads.training.model import Mlp

NETWORK = "network."


class Digits(pl.LightningModule):
    """The network, loss, optimizer and schedule of `payloads.training.loop`.

    Logs for each epoch the means over all rows of all ranks: loss, validation_loss, accuracy; and learning_rate.
    """

    def __init__(self, features: int, classes: int, settings: LightningSettings) -> None:
        super().__init__()
        self.network = Mlp(features, classes, settings.hidden, settings.depth, settings.dropout)
        self.settings = settings

    def training_step(self, batch: Batch) -> torch.Tensor:
        features, targets = batch
        loss = nn.functional.cross_entropy(self.network(features), targets)
        self._log_mean("loss", loss, len(targets))
        return loss

    def validation_step(self, batch: Batch) -> None:
        features, targets = batch
        logits = self.network(features)
        self._log_mean("validation_loss", nn.functional.cross_entropy(logits, targets), len(targets))
        self._log_mean("accuracy", (logits.argmax(dim=1) == targets).float().mean(), len(targets))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.settings.lr, weight_decay=self.settings.weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.settings.epochs)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}

    def _log_mean(self, name: str, value: torch.Tensor, rows: int) -> None:
        self.log(name, value, on_step=False, on_epoch=True, sync_dist=True, batch_size=rows)


def network_weights(state: dict[str, Any]) -> dict[str, Any]:
    """Weights of the network in a checkpoint of Lightning."""
    return {name.removeprefix(NETWORK): value for name, value in state["state_dict"].items()}
