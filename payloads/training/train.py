"""Driver of a digits training: `python -m payloads.training.train --run-name first`.

May be started again at any point, on the same Ray cluster or a new one: it goes on where the last attempt stopped, and
a run that has finished only reports its result again.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from payloads.common import driver, reporting
from payloads.common.cli import parse
from payloads.common.errors import run_main
from payloads.common.settings import Platform, read_platform
from payloads.training.settings import TrainSettings

if TYPE_CHECKING:
    from payloads.data.digits import Manifest
    from payloads.training.settings import FitSettings


def main(arguments: list[str] | None = None) -> None:
    """Parse, connect, train, evaluate, register; prints `progress:` lines and one `result:` line."""
    carry_out(parse(TrainSettings, __doc__ or "", arguments), "payloads.training.fit")


def carry_out(settings: FitSettings, fit: str) -> None:
    """Do the run of `settings`; the module `fit` has the `train` that trains."""
    platform = read_platform()
    driver.leave_on_sigterm()

    # Imported here: --help and a bad flag must not cost the seconds that torch and MLflow take.
    from payloads.common import storage as object_storage
    from payloads.data import digits

    storage = object_storage.open_storage(platform)
    object_storage.check_storage(storage, platform)
    manifest = digits.ensure(storage)
    key = run_key(settings, platform, manifest)
    driver.run_once(
        platform,
        settings.experiment,
        settings.run_name,
        key,
        lambda client, run: _run(fit, settings, platform, manifest, storage, client, run, key),
    )


def run_key(settings: FitSettings, platform: Platform, manifest: Manifest) -> str:
    """Identity of a training run; see `driver.key_of`."""
    parts = {"settings": settings.model_dump(mode="json"), "data": manifest.fingerprint}
    return driver.key_of(settings.run_name, platform, parts)


def _run(
    fit: str, settings: Any, platform: Platform, manifest: Manifest, storage: Any, client: Any, run: Any, key: str
) -> dict[str, Any]:
    from payloads.common import cluster
    from payloads.data import pipeline, splits
    from payloads.training import gate

    cluster.start_ray()
    run.start(settings.model_dump(mode="json"), driver.lineage(platform, settings.run_name, manifest.fingerprint))
    reporting.progress(f"data set {manifest.name}: {manifest.rows} rows, fingerprint {manifest.fingerprint[:12]}")
    fractions = splits.Fractions(settings.validation_fraction, settings.test_fraction)
    data = pipeline.prepare(pipeline.read(storage, manifest), manifest, fractions, settings.split_seed)
    classifier = importlib.import_module(fit).train(settings, storage, data, run, key)
    return gate.submit(classifier, settings, manifest, data, client, run)


if __name__ == "__main__":
    run_main(main)
