"""Driver of a batch inference: `python -m payloads.batch.predict --run-name first --sample-rows 200000`.

May be started again at any point, on the same Ray cluster or a new one: what was answered is not predicted again.
All rows of a run are answered by one version, also when another becomes champion meanwhile.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from payloads.batch.settings import BatchSettings
from payloads.common import driver, reporting
from payloads.common.cli import parse
from payloads.common.errors import PayloadError, run_main
from payloads.common.settings import Platform, read_platform

LINES = 10


def main(arguments: list[str] | None = None) -> None:
    """Parse, survey the source, predict, report; prints `progress:` lines and one `result:` line."""
    settings = parse(BatchSettings, __doc__ or "", arguments)
    platform = read_platform()
    driver.leave_on_sigterm()

    from payloads.batch import sample, stages
    from payloads.common import storage as object_storage
    from payloads.data import parquet

    storage = object_storage.open_storage(platform)
    object_storage.check_storage(storage, platform)
    if settings.sample_rows:
        sample.ensure(storage, settings.folder, settings.sample_rows)
    origin = parquet.survey(storage, settings.folder, stages.misfit)
    if len(origin.refused) > settings.max_refused_files:
        name, reason = next(iter(origin.refused.items()))
        raise PayloadError(
            f"source {settings.folder}: {len(origin.refused)} files cannot be used, more than --max-refused-files "
            f"{settings.max_refused_files}; the first is {name}, which {reason}"
        )
    key = driver.key_of(settings.run_name, platform, {"settings": _what(settings), "source": origin.fingerprint})

    def work(client: Any, run: Any) -> dict[str, Any]:
        return _run(settings, platform, storage, origin, key, client, run)

    driver.run_once(platform, settings.experiment, settings.run_name, key, work)


def _what(settings: BatchSettings) -> dict[str, Any]:
    """The settings that change what comes out; a retry may have other workers."""
    what = settings.model_dump(mode="json", include={"model_name", "alias", "unit_mib"})
    return {**what, "source": settings.folder}


def _run(
    settings: BatchSettings, platform: Platform, storage: Any, origin: Any, key: str, client: Any, run: Any
) -> dict[str, Any]:
    from payloads.batch import stages
    from payloads.common import cluster
    from payloads.data import parquet

    cluster.start_ray()
    job = stages.Job(storage, f"predictions/{key}")
    version = _pinned_version(settings, platform, job)
    run.start(
        {**_what(settings), "model_version": version},
        driver.lineage(platform, settings.run_name, origin.fingerprint),
    )
    plan = parquet.units(origin, max(1, settings.unit_mib * 2**20 // stages.ROW_BYTES))
    done = job.receipts.found()
    left = [unit for unit in plan if unit.index not in done]
    reporting.progress(f"{origin.rows} rows in {len(plan)} units with {settings.model_name} version {version}")
    if done:
        reporting.progress(f"{len(done)} of {len(plan)} units were done before")
    if left:
        _predict(settings, platform, job, version, plan, left)
    receipts = job.receipts.found()
    found = _manifest(settings, origin, version, receipts)
    storage.write_json(f"{job.folder}/manifest.json", found)
    for name in ("rows", "errors"):
        client.log_metric(run.id, name, found[name], step=0)
    client.log_dict(run.id, found, "manifest.json")
    return {
        "run": settings.run_name,
        "run_id": run.id,
        "folder": job.folder,
        "model": settings.model_name,
        "version": version,
        "rows": found["rows"],
        "errors": found["errors"],
        "labels": found["labels"],
        "refused_files": origin.refused,
    }


def _pinned_version(settings: BatchSettings, platform: Platform, job: Any) -> str:
    """The version that this run began with, or the alias's now if it is beginning."""
    from payloads.serving import model

    path = f"{job.folder}/_work/model.json"
    pinned = job.storage.read_json(path)
    if pinned is None:
        pinned = {"version": model.find_version(platform, settings.model_name, settings.alias)}
        job.storage.write_json(path, pinned)
    return pinned["version"]


def _predict(
    settings: BatchSettings, platform: Platform, job: Any, version: str, plan: list[Any], left: list[Any]
) -> None:
    import ray.data
    from ray.data import ActorPoolStrategy, DataContext

    from payloads.batch import stages

    # A block is a unit, however large: cut in two, it would be refused when it is written.
    DataContext.get_current().target_max_block_size = None
    answers = (
        ray.data.from_items([stages.as_item(unit) for unit in left], override_num_blocks=len(left))
        .map_batches(stages.read, batch_size=1, batch_format="pyarrow", fn_kwargs={"job": job})
        .map_batches(
            stages.Predictor,
            batch_size=None,
            batch_format="pyarrow",
            fn_constructor_args=(platform, settings.model_name, version, settings.batch_rows),
            compute=ActorPoolStrategy(size=settings.num_workers),
            num_cpus=settings.cpus_per_worker,
            num_gpus=settings.gpus_per_worker,
        )
        .map_batches(
            stages.write,
            batch_size=None,
            batch_format="pyarrow",
            fn_kwargs={"job": job, "model_version": version},
        )
    )
    told = done = len(plan) - len(left)
    for _ in answers.iter_rows():
        done += 1
        if done * LINES // len(plan) > told * LINES // len(plan):
            reporting.progress(f"{done} of {len(plan)} units")
        told = done


def _manifest(settings: BatchSettings, origin: Any, version: str, receipts: dict[int, Any]) -> dict[str, Any]:
    labels: Counter[str] = Counter()
    for receipt in receipts.values():
        labels.update(receipt["labels"])
    return {
        "model": {"name": settings.model_name, "version": version},
        "source": {"fingerprint": origin.fingerprint, "rows": origin.rows, "refused": origin.refused},
        "rows": sum(receipt["file"]["rows"] for receipt in receipts.values()),
        "errors": sum(receipt["errors"] for receipt in receipts.values()),
        "labels": dict(sorted(labels.items())),
        "files": [receipt["file"] for receipt in receipts.values()],
    }


if __name__ == "__main__":
    run_main(main)
