"""What each training worker runs: a Lightning Trainer under Ray's strategy."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import lightning.pytorch as pl
import ray.train
import ray.train.lightning
import ray.train.torch
from lightning.pytorch.callbacks import EarlyStopping

from payloads.common import checkpoints, seeds
from payloads.lightning_training.callbacks import Epochs, Report, Rows, SignedFiles, Whole
from payloads.lightning_training.module import Digits
from payloads.lightning_training.settings import LightningSettings
from payloads.training.batches import gather
from payloads.training.loop import finished, validation
from payloads.training.settings import Precision
from payloads.training.state import newest_whole

PRECISIONS: dict[Precision, Any] = {"float32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def train_loop(config: dict[str, Any]) -> None:
    """Train from the newest whole checkpoint, or from nothing, to the last epoch or until it no longer gets better.

    `config` is that of `payloads.training.loop.train_loop`, with the settings of Lightning.
    """
    settings = LightningSettings.model_validate(config["settings"])
    quiet()
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    device = ray.train.torch.get_device()
    seeds.seed_everything(settings.seed + rank)
    module = Digits(config["features"], config["classes"], settings)
    epochs = Epochs(settings.seed, settings.epochs)
    trainer = trainer_of(settings, epochs)
    rows = Rows(gather(ray.train.get_dataset_shard("train"), device), settings.rows_per_worker, settings.seed, trainer)
    (held_out,) = validation(device, rank, world, cached=True)()
    with newest_state(rank) as path:
        if path is None or not finished(checkpoints.load_state(path)["history"], settings):
            trainer.fit(
                module, rows, Whole(held_out), ckpt_path=path and f"{path}/{checkpoints.STATE_FILE}", weights_only=True
            )


def trainer_of(settings: LightningSettings, epochs: Epochs) -> pl.Trainer:
    """A Trainer whose ranks, devices and checkpoints are Ray's."""
    callbacks: list[pl.Callback] = [epochs, Report()]
    if settings.patience:
        # Before the checkpoint, which keeps how long nothing has got better.
        callbacks.insert(
            0, EarlyStopping("validation_loss", patience=settings.patience, check_on_train_epoch_end=False)
        )
    trainer = pl.Trainer(
        max_epochs=settings.epochs,
        accelerator="gpu" if settings.gpus_per_worker else "cpu",
        devices="auto",
        strategy=ray.train.lightning.RayDDPStrategy(),
        plugins=[ray.train.lightning.RayLightningEnvironment(), SignedFiles()],
        callbacks=callbacks,
        precision=PRECISIONS[settings.precision],
        gradient_clip_val=settings.gradient_clip,
        accumulate_grad_batches=settings.accumulate,
        deterministic=settings.deterministic,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        logger=False,
    )
    return ray.train.lightning.prepare_trainer(trainer)


@contextlib.contextmanager
def newest_state(rank: int) -> Iterator[str | None]:
    """A local folder with the newest whole checkpoint, None if there is none; every rank must come here."""
    checkpoint, _ = newest_whole(rank)
    if checkpoint is None:
        yield None
        return
    with checkpoint.as_directory() as folder:
        yield folder


def quiet() -> None:
    """Lightning advises on data loaders and loggers that are not used here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.pytorch")
