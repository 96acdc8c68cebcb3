"""Driver of a search: `python -m payloads.tuning.tune --run-name search --samples 50`.

May be started again at any point, on the same Ray cluster or a new one: trials that have ended stay ended, those that
were under way go on from their last epoch.
"""

from __future__ import annotations

from typing import Any

from payloads.common import driver, reporting
from payloads.common.cli import parse
from payloads.common.errors import run_main
from payloads.common.settings import Platform, read_platform
from payloads.tuning.settings import TuneSettings


def main(arguments: list[str] | None = None) -> None:
    """Parse, connect, search, register the best; prints `progress:` lines and one `result:` line."""
    settings = parse(TuneSettings, __doc__ or "", arguments)
    platform = read_platform()
    driver.leave_on_sigterm()

    from payloads.common import storage as object_storage
    from payloads.data import digits

    storage = object_storage.open_storage(platform)
    object_storage.check_storage(storage, platform)
    manifest = digits.ensure(storage)
    parts = {"settings": _what(settings), "data": manifest.fingerprint}
    key = driver.key_of(settings.run_name, platform, parts)

    def work(client: Any, run: Any) -> dict[str, Any]:
        return _run(settings, platform, manifest, storage, client, run, key)

    driver.run_once(platform, settings.experiment, settings.run_name, key, work)


def _what(settings: TuneSettings) -> dict[str, Any]:
    """The settings that make the search what it is; a retry may have other workers."""
    return settings.model_dump(mode="json", exclude={"num_workers", "cpus_per_worker", "gpus_per_worker"})


def _run(
    settings: TuneSettings, platform: Platform, manifest: Any, storage: Any, client: Any, run: Any, key: str
) -> dict[str, Any]:
    from payloads.common import cluster
    from payloads.data import pipeline, splits
    from payloads.training import gate
    from payloads.training.model import Classifier
    from payloads.tuning import search, trial
    from payloads.tuning.record import Recorder

    cluster.start_ray()
    run.start(_what(settings), driver.lineage(platform, settings.run_name, manifest.fingerprint))
    fractions = splits.Fractions(settings.validation_fraction, settings.test_fraction)
    data = pipeline.prepare(pipeline.read(storage, manifest), manifest, fractions, settings.split_seed)
    rows = (_rows(data.train), _rows(data.validation), len(data.classes))
    recorder = Recorder(settings.experiment, run.id, key, settings.samples, settings.search == "pbt")
    found = search.run(settings, storage, key, rows, recorder)

    best = found.best
    reporting.progress(
        f"best of {found.trials} trials: validation_loss {best.validation_loss:.4f} with "
        + ", ".join(f"{name} {value:.3g}" for name, value in sorted(best.config.items()))
    )
    client.log_metric(run.id, "best_validation_loss", best.validation_loss, step=0)
    client.log_metric(run.id, "trial_epochs", found.epochs, step=0)
    client.log_dict(run.id, best.config, "best.json")
    network = trial.network(best.config, len(data.scaler.mean), len(data.classes))
    network.load_state_dict(best.weights)
    result = gate.submit(Classifier(network, data.scaler).eval(), settings, manifest, data, client, run)
    return {
        **result,
        "config": best.config,
        "validation_loss": best.validation_loss,
        "trials": found.trials,
        "stopped_early": found.stopped,
        "failed": found.failed,
        "epochs": found.epochs,
        "most_epochs": settings.samples * settings.epochs,
        "checkpoint": best.checkpoint,
    }


def _rows(dataset: Any) -> Any:
    import numpy as np

    from payloads.tuning.trial import Rows

    batches = list(dataset.iter_batches(batch_size=None, batch_format="numpy"))
    return Rows(
        features=np.concatenate([np.stack(batch["features"]) for batch in batches]).astype(np.float32),
        targets=np.concatenate([batch["target"] for batch in batches]).astype(np.int64),
    )


if __name__ == "__main__":
    run_main(main)
