"""Ray Tune, set up: what draws the trials, what stops them, where it goes on after a restart."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pyarrow.fs
from ray import tune
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining
from ray.tune.search.optuna import OptunaSearch

from payloads.common.errors import PayloadError
from payloads.common.storage import Storage
from payloads.tuning import space
from payloads.tuning.record import Recorder
from payloads.tuning.settings import TuneSettings
from payloads.tuning.trial import Rows, trial

METRIC, MODE = "validation_loss", "min"
FOLDER = "tuning"
# Of a trial: the best and the newest few. The state of the search is written anew at least as often as they change, so
# a restarted search never looks for one that is gone.
CHECKPOINTS_KEPT = 4


@dataclass(frozen=True)
class Best:
    """The best trial: its hyperparameters, its least validation loss and the checkpoint of that epoch."""

    config: dict[str, Any]
    metrics: dict[str, Any]
    checkpoint: tune.Checkpoint


@dataclass(frozen=True)
class Found:
    """What a search found. `epochs` are of all trials together, `stopped` trials were ended early."""

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
    """Whether an earlier attempt has left a state to go on from; a first moment's leftovers are none."""
    selector = pyarrow.fs.FileSelector(storage.path(FOLDER, key), allow_not_found=True)
    names = [info.base_name for info in storage.filesystem.get_file_info(selector)]
    return "tuner.pkl" in names and any(name.startswith("experiment_state-") for name in names)


def new_tuner(settings: TuneSettings, storage: Storage, key: str, trainable: Any, recorder: Recorder) -> tune.Tuner:
    population = settings.search == "pbt"
    return tune.Tuner(
        trainable,
        param_space=param_space(settings),
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode=MODE,
            num_samples=settings.samples,
            # Members of a population wait for each other at every comparison: one that may not start is waited for
            # for ever, so their number at once is bounded by the cluster's resources alone.
            max_concurrent_trials=None if population else settings.num_workers,
            search_alg=None if population else OptunaSearch(points_to_evaluate=[space.KNOWN_GOOD], seed=settings.seed),
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
            checkpoint_config=tune.CheckpointConfig(
                num_to_keep=CHECKPOINTS_KEPT, checkpoint_score_attribute=METRIC, checkpoint_score_order=MODE
            ),
        ),
    )


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
        log_config=False,
    )


def summarise(results: tune.ResultGrid, settings: TuneSettings) -> Found:
    ended = [result for result in results if result.metrics and METRIC in result.metrics]
    if not ended:
        error = results.errors[0] if results.errors else "no trial was started"
        raise PayloadError(f"no trial of {settings.run_name} has a result: {str(error).strip().splitlines()[-1]}")
    # By the best epoch of each trial, not by its last: that is the one whose checkpoint is taken.
    best = results.get_best_result(METRIC, MODE, scope="all")
    checkpoint, metrics = min(best.best_checkpoints, key=lambda entry: entry[1][METRIC])
    epochs = [int(result.metrics["training_iteration"]) for result in ended]
    return Found(
        best=Best(config=dict(best.config), metrics=metrics, checkpoint=checkpoint),
        trials=len(results),
        stopped=sum(count < settings.epochs for count in epochs),
        failed=len(results.errors),
        epochs=sum(epochs),
    )
