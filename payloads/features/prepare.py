"""Driver of a feature run: `python -m payloads.features.prepare --run-name first --sample-rows 200000`.

Source Parquet is checked against a contract, split, standardised by the train split's statistics and written as Parquet
to `features/<contract>/<key>/`. May be started again at any point: units of work that were finished are not done again.
"""

from __future__ import annotations

import hashlib
from typing import Any

from payloads.common import driver, reporting
from payloads.common.cli import parse
from payloads.common.errors import PayloadError, run_main
from payloads.common.settings import read_platform
from payloads.features.settings import FeatureSettings


def main(arguments: list[str] | None = None) -> None:
    """Parse, survey the source, work, report; prints `progress:` lines and one `result:` line."""
    settings = parse(FeatureSettings, __doc__ or "", arguments)
    platform = read_platform()
    driver.leave_on_sigterm()

    from payloads.common import storage as object_storage
    from payloads.data import parquet
    from payloads.features import contract as contracts
    from payloads.features import frame, sample

    contract = contracts.load(settings.contract)
    storage = object_storage.open_storage(platform)
    object_storage.check_storage(storage, platform)
    if settings.sample_rows:
        sample.ensure(storage, settings.folder, settings.sample_rows)
    origin = parquet.survey(storage, settings.folder, lambda schema: frame.misfit(schema, contract))
    _refuse_if_too_many(origin, settings)
    parts = {"settings": _what(settings), "contract": contract.model_dump(mode="json"), "source": origin.fingerprint}
    key = driver.key_of(settings.contract, platform, parts)

    def work(client: Any, run: Any) -> dict[str, Any]:
        return _run(settings, storage, contract, origin, key, client, run, platform)

    driver.run_once(platform, settings.experiment, settings.run_name, f"{settings.run_name}-{key}", work)


def _what(settings: FeatureSettings) -> dict[str, Any]:
    """The settings that change what comes out. Names, workers and limits do not: such runs share one folder, and MLflow
    would refuse a retry with other workers if they were parameters."""
    what = settings.model_dump(mode="json", include={"validation_fraction", "test_fraction", "split_seed", "unit_mib"})
    return {**what, "contract": settings.contract, "source": settings.folder}


def _run(
    settings: FeatureSettings, storage: Any, contract: Any, origin: Any, key: str, client: Any, run: Any, platform: Any
) -> dict[str, Any]:
    from payloads.common import cluster
    from payloads.data import parquet
    from payloads.features import frame, pipeline
    from payloads.features.stages import Job

    cluster.start_ray()
    run.start(_what(settings), driver.lineage(platform, settings.run_name, origin.fingerprint))
    job = Job(storage, contract, folder=f"features/{contract.name}/{key}", seed=settings.split_seed)
    found = storage.read_json(f"{job.folder}/manifest.json")
    if found is None:
        plan = parquet.units(origin, max(1, settings.unit_mib * 2**20 // frame.row_bytes(contract)))
        reporting.progress(
            f"source {settings.folder}: {origin.rows} rows, {len(origin.files)} files, {len(plan)} units"
        )
        outcome = pipeline.run(job, plan, origin, settings)
        found = pipeline.manifest(job, origin, outcome)
        storage.write_json(f"{job.folder}/manifest.json", found)
    else:
        reporting.progress(f"{storage.path(job.folder)} is complete: another run has prepared the same features")
    storage.write_json(f"features/{contract.name}/latest.json", {"folder": job.folder})
    text = pipeline.encoded(found)
    client.log_text(run.id, text, "manifest.json")
    client.log_text(run.id, (storage.read(f"{job.folder}/transform.json") or b"").decode(), "transform.json")
    for name, rows in found["rows"].items():
        client.log_metric(run.id, f"rows_{name}", rows, step=0)
    client.log_metric(run.id, "rows_filtered", found["filtered"], step=0)
    return {
        "run": settings.run_name,
        "run_id": run.id,
        "folder": job.folder,
        "rows": found["rows"],
        "filtered": found["filtered"],
        "reasons": found["reasons"],
        "refused_files": found["source"]["refused"],
        "fingerprint": hashlib.sha256(text.encode()).hexdigest(),
    }


def _refuse_if_too_many(origin: Any, settings: FeatureSettings) -> None:
    if len(origin.refused) > settings.max_refused_files:
        name, reason = next(iter(origin.refused.items()))
        raise PayloadError(
            f"source {settings.folder}: {len(origin.refused)} files cannot be used, more than --max-refused-files "
            f"{settings.max_refused_files}; the first is {name}, which {reason}"
        )


if __name__ == "__main__":
    run_main(main)
