"""Ray Tune, set up: what draws the trials, what stops them, where it goes on after a restart."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import pyarrow.fs
from ray import tune
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining
from ray.tune.search import BasicVariantGenerator
from ray.tune.search.optuna import OptunaSearch

from payloads.common import checkpoints, reporting
from payloads.common.errors import PayloadError
from payloads.common.storage import Storage, first_line
from payloads.training.state import is_whole
from payloads.tuning import space
from payloads.tuning.record import Recorder
from payloads.tuning.settings import TuneSettings
from payloads.tuning.trial import Rows, trial

METRIC, MODE = "validation_loss", "min"
FOLDER = "tuning"
# The newest of a trial, each of which holds its best weights so far. Tune writes the state of the search anew before
# so many have gone, so a restarted search does not look for one that is gone; kept by score, that could be.
CHECKPOINTS_KEPT = 4


@dataclass(frozen=True)
class Best:
    """The best epoch of all trials: its hyperparameters, its validation loss and its weights."""

    config: dict[str, Any]
    validation_loss: float
    weights: dict[str, Any]
    checkpoint: str


@dataclass(frozen=True)
class Found:
    """What a search found. `epochs` are those its trials came to, all together; `stopped` trials were ended early."""

    best: Best
    trials: int
    stopped: int
    failed: int
    epochs: int


def run(settings: TuneSettings, storage: Storage, key: str, data: tuple[Rows, Rows, int], recorder: Recorder) -> Found:
    """Search to the end, from where an earlier attempt under `key` stopped if there was one.

    Raises PayloadError if no trial has a result.
    """
    train, validation, classes = data
    trainable = tune.with_resources(
        tune.with_parameters(trial, settings=settings, train=train, validation=validation, classes=classes),
        {"CPU": settings.cpus_per_worker, "GPU": settings.gpus_per_worker},
    )
    # Result files and TensorBoard events of each trial on S3 would repeat what is in MLflow.
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    # Tune would end the search at Ctrl-C as if it were over, and half a search would be taken for the whole.
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"

    def restored() -> tune.Tuner:
        return tune.Tuner.restore(
            storage.path(FOLDER, key),
            trainable=trainable,
            param_space=param_space(settings),
            resume_errored=True,
            storage_filesystem=storage.filesystem,
        )

    resumed = started_before(storage, key)
    results = (restored() if resumed else new_tuner(settings, storage, key, trainable, recorder)).fit()
    if results.errors:
        # Tune gives up a trial whose process is lost while it is handed from one trial to the next, however many
        # failures it may have. Those get a second chance; a trial that fails by itself only fails once more.
        results = restored().fit()
    return summarise(results, settings)


def started_before(storage: Storage, key: str) -> bool:
    """Whether an earlier attempt has left a whole state to go on from.

    A first moment's leftovers are none. Nor is a state that was cut off: Tune may write it anew while it is uploaded,
    and a driver that dies right then leaves half of it. The search begins anew, or it could never be restarted.
    """
    selector = pyarrow.fs.FileSelector(storage.path(FOLDER, key), allow_not_found=True)
    names = [info.base_name for info in storage.filesystem.get_file_info(selector)]
    states = [name for name in names if name.startswith("experiment_state-")]
    if "tuner.pkl" not in names or not states:
        return False
    try:
        return storage.read_json(f"{FOLDER}/{key}/{max(states)}") is not None
    except ValueError:
        reporting.progress("the state of the search was cut off: it is begun anew")
        return False


def new_tuner(settings: TuneSettings, storage: Storage, key: str, trainable: Any, recorder: Recorder) -> tune.Tuner:
    population = settings.search == "pbt"
    return tune.Tuner(
        trainable,
        param_space=param_space(settings),
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode=MODE,
            num_samples=settings.samples,
            # Members of a population take turns, so that all of them are compared. A bound would let the rest begin
            # only when the first have ended; the cluster's resources are theirs.
            max_concurrent_trials=None if population else settings.num_workers,
            search_alg=searcher(settings),
            scheduler=scheduler(settings),
            # Starting a process that has torch takes longer than many a trial.
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=key,
            storage_path=storage.path(FOLDER),
            storage_filesystem=storage.filesystem,
            callbacks=[recorder],
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=settings.trial_failures),
            # A member may take over a checkpoint long after it was written: there, all are kept.
            checkpoint_config=tune.CheckpointConfig(num_to_keep=None if population else CHECKPOINTS_KEPT),
        ),
    )


def searcher(settings: TuneSettings) -> Any:
    """Draws the trials, the known good point first: Optuna, or at random for a population, which improves by itself."""
    if settings.search == "asha":
        return OptunaSearch(points_to_evaluate=[space.KNOWN_GOOD], seed=settings.seed)
    return BasicVariantGenerator(points_to_evaluate=[space.KNOWN_GOOD], random_state=settings.seed)


def param_space(settings: TuneSettings) -> dict[str, Any]:
    return space.population() if settings.search == "pbt" else space.space()


def scheduler(settings: TuneSettings) -> Any:
    """ASHA or population based training, counted in epochs."""
    if settings.search == "asha":
        return ASHAScheduler(
            time_attr="training_iteration",
            max_t=settings.epochs,
            grace_period=settings.grace,
            reduction_factor=settings.reduction,
        )
    return PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=settings.perturb_every,
        quantile_fraction=settings.quantile,
        hyperparam_mutations=space.mutations(),
        custom_explore_fn=space.bounded,
        log_config=False,
    )


def summarise(results: tune.ResultGrid, settings: TuneSettings) -> Found:
    ended = [result for result in results if result.metrics and METRIC in result.metrics]
    epochs = [int(result.metrics["training_iteration"]) for result in ended]
    return Found(
        best=best_of(ended, results, settings),
        trials=len(results),
        stopped=sum(
            result.error is None and count < settings.epochs for result, count in zip(ended, epochs, strict=True)
        ),
        failed=len(results.errors),
        epochs=sum(epochs),
    )


def best_of(ended: list[tune.Result], results: tune.ResultGrid, settings: TuneSettings) -> Best:
    """The best epoch of any trial, of those whose checkpoint reads back as it was written."""
    for result in sorted(ended, key=lambda each: each.metrics["best_validation_loss"]):
        if result.checkpoint is not None and is_whole(result.checkpoint):
            with result.checkpoint.as_directory() as folder:
                best = checkpoints.load_state(folder)["best"]
            if math.isfinite(best["validation_loss"]):
                return Best(best["config"], best["validation_loss"], best["model"], result.checkpoint.path)
    error = first_line(results.errors[0]) if results.errors else "none has a finite loss and a whole checkpoint"
    raise PayloadError(f"no trial of {settings.run_name} has a result: {error}")
