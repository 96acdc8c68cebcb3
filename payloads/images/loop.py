"""What each training worker runs: the epochs of payloads.training, with this package's network and images."""

from __future__ import annotations

from typing import Any

import torch

from payloads.images.augment import Recipe
from payloads.images.feed import Epochs, Plan, Stream
from payloads.images.network import Network, Normalisation
from payloads.images.settings import ImageTrainSettings
from payloads.training.loop import Feed, run_epochs, validation


def train_loop(config: dict[str, Any]) -> None:
    """`run_epochs` with the convolutional network on augmented images.

    `config`: settings (ImageTrainSettings as a dict), storage, manifest (of the images), normalisation.
    """
    settings = ImageTrainSettings.model_validate(config["settings"])

    def feed(device: torch.device, rank: int, world: int) -> Feed:
        # Before the actors start, because reading needs a CPU that they will then have.
        held_out = validation(device, rank, world, settings.cache_validation)
        stream = Stream(
            storage=config["storage"],
            plan=Plan.of(config["manifest"], settings.seed, world),
            rank=rank,
            epochs=settings.epochs,
            recipe=recipe(settings),
            shape=config["manifest"].shape,
            actors=settings.augment_workers,
            cpus=settings.augment_cpus,
        )
        return Feed(Epochs(stream, settings.rows_per_worker, device).epoch, held_out)

    run_epochs(settings, lambda: network(settings, config["normalisation"], len(config["manifest"].classes)), feed)


def network(settings: ImageTrainSettings, normalisation: Normalisation, classes: int) -> Network:
    """The untrained network of `settings`."""
    return Network(normalisation, classes, settings.width, settings.stages, settings.dropout)


def recipe(settings: ImageTrainSettings) -> Recipe:
    return Recipe(
        flip=settings.flip,
        rotate=settings.rotate,
        shift=settings.shift,
        zoom=settings.zoom,
        jitter=settings.jitter,
        hue=settings.hue,
        seed=settings.seed,
    )
