"""Driver of the scene models' training: `python -m payloads.vision.train --run-name first`.

May be started again at any point: a model goes on after its last epoch, and a run that has finished only reports its
result again.
"""

from __future__ import annotations

from typing import Any

from payloads.common import driver, reporting
from payloads.common.cli import parse
from payloads.common.errors import run_main
from payloads.common.settings import Platform, read_platform
from payloads.vision.settings import VisionSettings


def main(arguments: list[str] | None = None) -> None:
    """Parse, connect, train both models, judge, register; prints `progress:` lines and one `result:` line."""
    settings = parse(VisionSettings, __doc__ or "", arguments)
    platform = read_platform()
    driver.leave_on_sigterm()

    from payloads.common import storage as object_storage
    from payloads.data import digits

    storage = object_storage.open_storage(platform)
    object_storage.check_storage(storage, platform)
    fingerprint = digits.fingerprint(digits.build_table())
    key = driver.key_of(settings.run_name, platform, {"settings": _what(settings), "data": fingerprint})

    def work(client: Any, run: Any) -> dict[str, Any]:
        return _run(settings, platform, storage, fingerprint, key, client, run)

    driver.run_once(platform, settings.experiment, settings.run_name, key, work)


def _what(settings: VisionSettings) -> dict[str, Any]:
    """The settings that make the models what they are; a retry may have other workers."""
    return settings.model_dump(mode="json", exclude={"num_workers", "cpus_per_worker", "gpus_per_worker"})


def _run(
    settings: VisionSettings, platform: Platform, storage: Any, fingerprint: str, key: str, client: Any, run: Any
) -> dict[str, Any]:
    from payloads.common import cluster, tracking
    from payloads.common.tasks import Limits, bounded
    from payloads.data import splits
    from payloads.vision import fit, gate, scenes
    from payloads.vision.tasks import TASKS

    cluster.start_ray()
    tags = driver.lineage(platform, settings.run_name, fingerprint)
    run.start(_what(settings), tags)
    shared = (storage, f"vision/{key}", settings, scenes.glyphs(splits.TRAIN, settings.split_seed))
    limits = Limits(settings.num_workers, settings.cpus_per_worker, settings.gpus_per_worker)
    held_out = scenes.glyphs(splits.TEST, settings.split_seed)
    test = [scenes.compose(held_out, (settings.split_seed, fit.TEST_SCENES, n)) for n in range(settings.test_scenes)]
    result: dict[str, Any] = {"run": settings.run_name, "run_id": run.id}
    for name, fitted in bounded(fit.fit, list(TASKS), shared, limits):
        reporting.progress(
            f"{name}: {len(fitted.losses)} epochs, {fitted.resumed} of them before this attempt, "
            f"loss {fitted.losses[0]:.3f} to {fitted.losses[-1]:.3f}"
        )
        # A run of its own below this one for each model: the registry knows a model's version by its run.
        own_name = f"{settings.run_name}-{name}"
        own = tracking.find_or_create(client, settings.experiment, f"{key}/{name}", own_name, run.id)
        own.start({}, tags)
        for epoch, loss in enumerate(fitted.losses, start=1):
            client.log_metric(own.id, "loss", loss, step=epoch)
        result[name] = gate.submit(name, fit.rebuilt(settings, name, fitted.weights), test, settings, client, own)
        client.set_terminated(own.id, "FINISHED")
    return result


if __name__ == "__main__":
    run_main(main)
