"""Driver of an image run: `python -m payloads.images.prepare --run-name first --sample digits`.

Image files below `sources/<dataset>/label=<class>/` are checked, scaled to one size, split and written as Parquet to
`images/<dataset>/<key>/`. May be started again at any point: units of work that were finished are not done again.
"""

from __future__ import annotations

from typing import Any

from payloads.common import driver, reporting
from payloads.common.cli import parse
from payloads.common.errors import run_main
from payloads.common.settings import read_platform
from payloads.images.settings import ImageSettings


def main(arguments: list[str] | None = None) -> None:
    """Parse, survey the source, work, report; prints `progress:` lines and one `result:` line."""
    settings = parse(ImageSettings, __doc__ or "", arguments)
    platform = read_platform()
    driver.leave_on_sigterm()

    from payloads.common import storage as object_storage
    from payloads.images import sample, source

    storage = object_storage.open_storage(platform)
    object_storage.check_storage(storage, platform)
    if settings.sample != "none":
        sample.ensure(storage, settings.folder, settings.sample, settings.sample_images)
    files = source.survey(storage, settings.folder, settings.label_key)
    origin = source.fingerprint(files)
    key = driver.key_of(settings.dataset, platform, {"settings": _what(settings), "source": origin})

    def work(client: Any, run: Any) -> dict[str, Any]:
        return _run(settings, storage, files, origin, key, client, run, platform)

    driver.run_once(platform, settings.experiment, settings.run_name, f"{settings.run_name}-{key}", work)


def _what(settings: ImageSettings) -> dict[str, Any]:
    """The settings that change what comes out; a retry may have other workers and limits."""
    same = {"run_name", "experiment", "num_workers", "cpus_per_worker", "gpus_per_worker", "max_quarantined", "source"}
    what = settings.model_dump(mode="json", exclude=same | {"sample", "sample_images"})
    return {**what, "source": settings.folder}


def _run(
    settings: ImageSettings, storage: Any, files: Any, origin: str, key: str, client: Any, run: Any, platform: Any
) -> dict[str, Any]:
    from payloads.common import cluster
    from payloads.images import dataset, pipeline, source
    from payloads.images.decode import Form
    from payloads.images.stages import Job

    cluster.start_ray()
    run.start(_what(settings), driver.lineage(platform, settings.run_name, origin))
    form = Form(settings.size, settings.mode, settings.max_pixels)
    job = Job(storage, f"images/{settings.dataset}/{key}", form, settings.max_mib * 2**20)
    found = dataset.read_manifest(storage, job.folder)
    if found is None:
        plan = source.units(files, settings.unit_images)
        reporting.progress(f"source {settings.folder}: {len(files)} files in {len(plan)} units")
        found = dataset.manifest(job, origin, len(files), pipeline.run(job, plan, settings))
        dataset.write_manifest(storage, job.folder, found)
    else:
        reporting.progress(f"{storage.path(job.folder)} is complete: another run has prepared the same images")
    # Only now: a run that was cut off before its manifest was written needs what is decoded.
    dataset.forget_decoded(storage, job.folder)
    storage.write_json(dataset.latest(settings.dataset), {"folder": job.folder})
    client.log_dict(run.id, found.as_json(), "manifest.json")
    for name in found.files:
        client.log_metric(run.id, f"images_{name}", found.rows(name), step=0)
    return {
        "run": settings.run_name,
        "run_id": run.id,
        "folder": job.folder,
        "images": {name: found.rows(name) for name in found.files},
        "classes": list(found.classes),
        "reasons": found.reasons,
        "fingerprint": found.fingerprint,
    }


if __name__ == "__main__":
    run_main(main)
