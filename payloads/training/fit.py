"""The distributed part of a training, as the driver sees it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import ray
import ray.data
import ray.train
import ray.train.torch
import torch

from payloads.common import checkpoints, reporting
from payloads.common.errors import PayloadError
from payloads.common.storage import Storage, first_line
from payloads.common.tracking import EpochLog, TrackedRun
from payloads.data.pipeline import Prepared
from payloads.training.batches import COLUMNS
from payloads.training.epochs import EpochSettings
from payloads.training.loop import train_loop
from payloads.training.model import Classifier, Mlp
from payloads.training.settings import FitSettings, TrainSettings
from payloads.training.state import is_whole, newest_first
from payloads.training.watch import Event, Watch

# Pods of a new Ray cluster join within this time once their image is there.
ROOM_WAIT_S = 120.0


def fit(
    settings: TrainSettings,
    storage: Storage,
    data: Prepared,
    run: TrackedRun,
    key: str,
    weights: Mapping[str, torch.Tensor] | None = None,
) -> ray.train.Checkpoint:
    """Train to the last epoch and return the checkpoint with the least validation loss.

    The network starts with `weights`, or with random ones.
    Resumes from the newest checkpoint under `key`. Every epoch is in MLflow when it returns, including those of
    earlier attempts that were cut off before they were logged. Raises PayloadError when training fails for good.
    """
    check_room(settings)
    config, datasets = given(data, weights)
    return distribute(train_loop, config, datasets, settings, storage, run, key)


def given(
    data: Prepared, weights: Mapping[str, torch.Tensor] | None = None
) -> tuple[dict[str, Any], dict[str, ray.data.Dataset]]:
    """Configuration and data sets of a loop that trains the digits classifier, from `weights` or from random ones."""
    config = {
        "features": len(data.scaler.mean),
        "classes": len(data.classes),
        "weights": dict(weights) if weights else None,
    }
    datasets = {
        "train": data.train.select_columns(list(COLUMNS)),
        "validation": data.validation.select_columns(list(COLUMNS)),
    }
    return config, datasets


def distribute(
    loop: Callable[[dict[str, Any]], None],
    config: dict[str, Any],
    datasets: dict[str, ray.data.Dataset],
    settings: FitSettings | EpochSettings,
    storage: Storage,
    run: TrackedRun,
    key: str,
    epoch: Callable[[dict[str, Any]], dict[str, Any]] = lambda metrics: metrics,
) -> ray.train.Checkpoint:
    """Run `loop` on the workers that `settings` ask for; as `fit`, whatever it is that is trained.

    `loop` gets `config` and the settings as a dict, and leaves the state of payloads.training.state. Of `datasets`,
    `train` is split among the workers. `epoch` brings what the loop reports into the form of payloads.training.loop.
    """
    log = EpochLog(run)

    def handle(event: Event) -> None:
        if event["kind"] == "epoch" and event["metrics"]["note"]:
            reporting.progress(event["metrics"]["note"])
        if event["kind"] == "epoch" and "step" in event["metrics"]:
            metrics = event["metrics"]
            reporting.progress(f"a node goes away: saved epoch {metrics['epoch']} at step {metrics['step']}")
        elif event["kind"] == "epoch":
            reporting.progress(reporting.epoch_line(event["metrics"]))
            log.add(event["metrics"], int(time.time() * 1000))
        else:
            reporting.progress(f"worker {event['rank']} failed ({event['error']})")

    resources = {"CPU": settings.cpus_per_worker}
    if settings.gpus_per_worker:
        resources["GPU"] = settings.gpus_per_worker
    with Watch(handle, epoch) as watch:
        trainer = ray.train.torch.TorchTrainer(
            loop,
            train_loop_config={**config, "settings": settings.model_dump(mode="json")},
            datasets=datasets,
            # In order, so that a resumed worker gets the rows that the lost one had.
            dataset_config=ray.train.DataConfig(
                datasets_to_split=[name for name in datasets if name == "train"],
                execution_options=ray.data.ExecutionOptions(preserve_order=True),
            ),
            scaling_config=ray.train.ScalingConfig(
                num_workers=settings.num_workers,
                use_gpu=settings.gpus_per_worker > 0,
                resources_per_worker=resources,
            ),
            run_config=ray.train.RunConfig(
                name=key,
                storage_path=storage.path("runs"),
                storage_filesystem=storage.filesystem,
                callbacks=[watch.callback],
                failure_config=ray.train.FailureConfig(max_failures=settings.max_failures),
                checkpoint_config=ray.train.CheckpointConfig(
                    num_to_keep=settings.checkpoints_kept,
                    checkpoint_score_attribute="validation_loss",
                    checkpoint_score_order="min",
                ),
            ),
        )
        try:
            result = trainer.fit()
        except ray.train.TrainingFailedError as error:
            raise PayloadError(f"training failed: {explain(error)}") from error
    with _first_whole(result, newest_first).as_directory() as folder:
        history = checkpoints.load_state(folder)["history"]
    for metrics in history:
        log.add(metrics, int(time.time() * 1000))
    log.close()
    return _first_whole(result, lambda metrics: metrics["validation_loss"])


def _first_whole(result: ray.train.Result, order: Callable[[Event], Any]) -> ray.train.Checkpoint:
    """The first of the kept checkpoints in this order of their metrics that reads back as it was written."""
    for checkpoint, _ in sorted(result.best_checkpoints, key=lambda entry: order(entry[1])):
        if is_whole(checkpoint):
            return checkpoint
    raise PayloadError(f"every checkpoint below {result.path} is damaged: delete that folder to train anew")


def train(settings: TrainSettings, storage: Storage, data: Prepared, run: TrackedRun, key: str) -> Classifier:
    """Train to the last epoch and return the model of the checkpoint with the least validation loss."""
    return load_classifier(fit(settings, storage, data, run, key), settings, data)


def load_classifier(checkpoint: ray.train.Checkpoint, settings: TrainSettings, data: Prepared) -> Classifier:
    """The model of a checkpoint with the scaler of its data in front, in evaluation mode on the CPU."""
    network = Mlp(len(data.scaler.mean), len(data.classes), settings.hidden, settings.depth, settings.dropout)
    network.load_state_dict(load_weights(checkpoint))
    return Classifier(network, data.scaler).eval()


def load_weights(checkpoint: ray.train.Checkpoint) -> dict[str, Any]:
    """The weights of a checkpoint's network, on the CPU."""
    with checkpoint.as_directory() as folder:
        return checkpoints.load_state(folder)["model"]


def check_room(settings: FitSettings | EpochSettings, wait_s: float = ROOM_WAIT_S, data_cpus: float = 1) -> None:
    """Raise PayloadError if the cluster cannot hold the workers and `data_cpus` CPUs for Ray Data beside them.

    Ray Data gets what the workers leave. With nothing left, the first batch is waited for until Ray Data's
    half-hour timeout, and no log says why. Ray workers that are still joining are waited for; a cluster that
    autoscales is not judged by its present size.
    """
    if os.environ.get("RAY_enable_autoscaler_v2"):  # noqa: SIM112  Ray's spelling
        return
    need = settings.num_workers * settings.cpus_per_worker + data_cpus
    deadline = time.monotonic() + wait_s
    while (have := ray.cluster_resources().get("CPU", 0)) < need:
        if time.monotonic() > deadline:
            raise PayloadError(
                f"{settings.num_workers} workers of {settings.cpus_per_worker:g} CPU and {data_cpus:g} CPU for Ray "
                f"Data do not fit in the cluster's {have:g} CPU: lower num_workers or cpus_per_worker, or add Ray "
                "workers"
            )
        time.sleep(1)


def explain(error: BaseException) -> str:
    """The failure of the lowest failed rank in one line, or that of the controller."""
    failures = getattr(error, "worker_failures", None) or {}
    for rank in sorted(failures):
        cause = getattr(failures[rank], "cause", None) or failures[rank]
        return f"worker {rank}: {type(cause).__name__}: {first_line(cause)}"
    return first_line(error)
