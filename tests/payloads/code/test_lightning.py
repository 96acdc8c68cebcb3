"""Lightning's loop beside the plain one, and from each of its checkpoints on."""

from __future__ import annotations

import shutil
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from payloads.common import checkpoints, seeds
from payloads.lightning_training.callbacks import Epochs, Rows, SignedFiles, Whole
from payloads.lightning_training.loop import quiet
from payloads.lightning_training.module import Digits, network_weights
from payloads.lightning_training.settings import LightningSettings
from payloads.training.batches import Batch, shuffled
from payloads.training.model import Mlp
from payloads.training.steps import evaluate_epoch, train_epoch

EPOCHS = 3


def rows() -> Batch:
    features = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
    return features, (features[:, 0] > 0).long() + (features[:, 1] > 0).long()


def held_out() -> Batch:
    features, targets = rows()
    return features[:20], targets[:20]


class Save(pl.Callback):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        trainer.save_checkpoint(self.folder / str(trainer.current_epoch) / checkpoints.STATE_FILE)


def train(folder: Path, dropout: float, begin: Path | None = None) -> list[dict[str, float]]:
    """Metrics of every epoch, without how long it took."""
    quiet()
    settings = LightningSettings(run_name="a", epochs=EPOCHS, hidden=16, depth=1, dropout=dropout, lr=0.01)
    seeds.seed_everything(1)
    epochs = Epochs(1, EPOCHS)
    trainer = pl.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        devices=1,
        callbacks=[epochs, Save(folder)],
        plugins=[SignedFiles()],
        gradient_clip_val=1.0,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
    )
    module = Digits(8, 3, settings)
    trainer.fit(module, Rows(rows(), 16, 1, trainer), Whole(held_out()), ckpt_path=begin, weights_only=True)
    return [{name: value for name, value in each.items() if name != "seconds"} for each in epochs.history]


def test_lightning_trains_as_the_plain_loop_does(tmp_path: Path):
    found = train(tmp_path, dropout=0.0)
    seeds.seed_everything(1)
    network = Mlp(8, 3, 16, 1, 0.0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS)
    for epoch, metrics in enumerate(found):
        learning_rate = optimizer.param_groups[0]["lr"]
        loss = train_epoch(network, optimizer, shuffled(rows(), 16, 1, epoch), 1.0)
        schedule.step()
        validation_loss, accuracy = evaluate_epoch(network, [held_out()])
        wanted = {
            "epoch": epoch + 1,
            "epochs": EPOCHS,
            "loss": loss,
            "validation_loss": validation_loss,
            "accuracy": accuracy,
            "learning_rate": learning_rate,
        }
        assert metrics == pytest.approx(wanted, rel=1e-6)
    saved = network_weights(checkpoints.load_state(str(tmp_path / str(EPOCHS - 1))))
    assert list(saved) == list(network.state_dict()), "what is served loads them by these names"
    for name, value in network.state_dict().items():
        torch.testing.assert_close(saved[name], value, rtol=1e-4, atol=1e-6)


def test_a_training_goes_on_from_any_epoch_as_if_it_had_not_been_interrupted(tmp_path: Path):
    whole = train(tmp_path / "whole", dropout=0.3)
    for epoch in range(EPOCHS):
        checkpoints.verify(str(tmp_path / "whole" / str(epoch)))
        kept = shutil.copytree(tmp_path / "whole" / str(epoch), tmp_path / "kept" / str(epoch))
        again = train(tmp_path / f"from-{epoch}", dropout=0.3, begin=kept / checkpoints.STATE_FILE)
        assert again == whole, epoch
        assert len(list((tmp_path / f"from-{epoch}").glob("*"))) == EPOCHS - 1 - epoch, "only what was left is trained"
