"""Driver of a training on prepared images: `python -m payloads.images.train --run-name first`.

May be started again at any point, on the same Ray cluster or a new one: it goes on where the last attempt stopped, and
a run that has finished only reports its result again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from payloads.common import driver, reporting
from payloads.common.cli import parse
from payloads.common.errors import PayloadError, run_main
from payloads.common.settings import Platform, read_platform
from payloads.images.settings import ImageTrainSettings

if TYPE_CHECKING:
    import ray.data

    from payloads.common.storage import Storage
    from payloads.images.dataset import Manifest
    from payloads.images.network import Normalisation


@dataclass(frozen=True)
class HeldOut:
    """What the gate judges by: rows of columns pixels uint8 (channels, height, width) and target int64."""

    test: ray.data.Dataset
    classes: tuple[str, ...]
    scaler: Normalisation


def main(arguments: list[str] | None = None) -> None:
    """Parse, connect, train, evaluate, register; prints `progress:` lines and one `result:` line."""
    settings = parse(ImageTrainSettings, __doc__ or "", arguments)
    platform = read_platform()
    driver.leave_on_sigterm()

    # Imported here: --help and a bad flag must not cost the seconds that torch and MLflow take.
    from payloads.common import storage as object_storage
    from payloads.images import dataset

    storage = object_storage.open_storage(platform)
    object_storage.check_storage(storage, platform)
    manifest = dataset.newest(storage, settings.dataset)
    parts = {"settings": settings.model_dump(mode="json"), "data": manifest.fingerprint}
    key = driver.key_of(settings.run_name, platform, parts)

    def work(client: Any, run: Any) -> dict[str, Any]:
        return _run(settings, platform, manifest, storage, client, run, key)

    driver.run_once(platform, settings.experiment, settings.run_name, key, work)


def _run(
    settings: ImageTrainSettings,
    platform: Platform,
    manifest: Manifest,
    storage: Storage,
    client: Any,
    run: Any,
    key: str,
) -> dict[str, Any]:
    from payloads.common import cluster
    from payloads.images import dataset, feed, loop, network
    from payloads.training import fit, gate

    statistics = network.normalisation(settings.normalise, manifest)
    # Both before anything is trained.
    _refuse_another_shape(client, settings.model_name, manifest)
    feed.Plan.of(manifest, settings.seed, settings.num_workers)
    cluster.start_ray()
    run.start(settings.model_dump(mode="json"), driver.lineage(platform, settings.run_name, manifest.fingerprint))
    reporting.progress(
        f"images {settings.dataset}: {manifest.rows('train')} of {'x'.join(map(str, manifest.shape))} to train on, "
        f"fingerprint {manifest.fingerprint[:12]}"
    )
    actors = settings.num_workers * settings.augment_workers
    fit.check_room(settings, data_cpus=actors * settings.augment_cpus)
    config = {"storage": storage, "manifest": manifest, "normalisation": statistics}
    validation = {"validation": dataset.read(storage, manifest, "validation", "features")}
    best = fit.distribute(loop.train_loop, config, validation, settings, storage, run, key)
    trained = loop.network(settings, statistics, len(manifest.classes))
    trained.load_state_dict(fit.load_weights(best))
    held_out = HeldOut(dataset.read(storage, manifest, "test", "pixels"), manifest.classes, statistics)
    return gate.submit(trained.eval(), settings, manifest, held_out, client, run)


def _refuse_another_shape(client: Any, name: str, manifest: Manifest) -> None:
    """A champion of other images could not be judged by these."""
    from payloads.training import register

    there = register.champion_shape(client, name)
    if there is not None and there != manifest.shape:
        raise PayloadError(
            f"the champion {name} takes rows of {'x'.join(map(str, there))} and these images are "
            f"{'x'.join(map(str, manifest.shape))}: give this model another --model-name"
        )


if __name__ == "__main__":
    run_main(main)
