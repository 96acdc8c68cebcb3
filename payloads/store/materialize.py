"""Driver of the feature store: `python -m payloads.store.materialize --run-name first --sample-days 14`.

Registers the definitions, writes the training set (labels with their features as of then) and brings Redis up to
`--until`. May be started again at any point; what was joined is not joined again, what Redis has is not sent again.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from payloads.common import driver, reporting
from payloads.common.cli import parse
from payloads.common.errors import PayloadError, run_main
from payloads.common.settings import Platform, read_platform
from payloads.store.settings import Redis, StoreSettings, read_redis

REDIS_TIMEOUT_S = 30.0


def main(arguments: list[str] | None = None) -> None:
    """Parse, register, join, materialise; prints `progress:` lines and one `result:` line."""
    settings = parse(StoreSettings, __doc__ or "", arguments)
    platform = read_platform()
    redis = read_redis()
    driver.leave_on_sigterm()

    from payloads.common import storage as object_storage
    from payloads.store import sample, training

    storage = object_storage.open_storage(platform)
    object_storage.check_storage(storage, platform)
    until = _until(settings, platform, storage)
    if settings.sample_days:
        last = (until - timedelta(microseconds=1)).date()
        shop = sample.Shop(settings.sample_users)
        written = sample.ensure(storage, settings.folder, shop, settings.sample_days, last)
        reporting.progress(f"{written} files of made data written to {settings.folder}")
    units = training.survey(storage, f"{settings.folder}/{sample.LABELS}")
    what = {
        **settings.model_dump(mode="json", include={"project", "as_known", "lateness_hours"}),
        "sources": settings.folder,
        "until": until.isoformat(),
    }
    key = driver.key_of(settings.run_name, platform, {"settings": what, "labels": training.fingerprint(units)})

    def work(client: Any, run: Any) -> dict[str, Any]:
        from payloads.common import cluster

        cluster.start_ray()
        run.start(what, driver.lineage(platform, settings.run_name, training.fingerprint(units)))
        result = _run(settings, platform, redis, storage, units, key, until)
        client.log_metric(run.id, "rows", result["rows"], step=0)
        client.log_dict(run.id, result, "store.json")
        return result

    driver.run_once(platform, settings.experiment, settings.run_name, key, work)


def _until(settings: StoreSettings, platform: Platform, storage: Any) -> datetime:
    """What the run began with: a retry after midnight is the same run."""
    if settings.until is not None:
        return settings.until.astimezone(UTC)
    path = f"store/{settings.project}/runs/{settings.run_name}-{platform.bundle_hash[:12]}.json"
    pinned = storage.read_json(path)
    if pinned is None:
        pinned = {"until": datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).isoformat()}
        storage.write_json(path, pinned)
    return datetime.fromisoformat(pinned["until"])


def _run(
    settings: StoreSettings, platform: Platform, redis: Redis, storage: Any, units: list[Any], key: str, until: datetime
) -> dict[str, Any]:
    from payloads.common import tasks
    from payloads.store import training
    from payloads.store.definitions import SERVICE, definitions
    from payloads.store.repository import open_store, registry_uri

    registry = registry_uri(platform, settings.project)
    store = open_store(registry, settings.project, redis, REDIS_TIMEOUT_S, writes=True)
    store.apply(definitions(f"{platform.storage.rstrip('/')}/{settings.folder}"))
    reporting.progress(f"registered the features of {SERVICE}")
    folder = f"store/{settings.project}/training/{key}"
    job = training.Join(storage, registry, settings.project, folder, settings.as_known)
    done = job.receipts.found()
    left = [unit for unit in units if unit.number not in done]
    if done:
        reporting.progress(f"{len(done)} of {len(units)} files of labels were joined before")
    limits = tasks.Limits(settings.num_workers, settings.cpus_per_worker, settings.gpus_per_worker)
    for _ in tasks.bounded(training.join_file, left, (job,), limits):
        pass
    receipts = job.receipts.found()
    found = training.summary(receipts)
    storage.write_json(f"{job.folder}/manifest.json", {**found, "files": list(receipts.values())})
    reporting.progress(f"{found['rows']} labels joined with their features")
    return {
        "run": settings.run_name,
        "project": settings.project,
        "folder": job.folder,
        "until": until.isoformat(),
        **found,
        "materialised": _materialise(settings, store, redis, until),
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Feast's bars, and what pandas has to say to it, would bury the progress lines."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _materialise(settings: StoreSettings, store: Any, redis: Redis, until: datetime) -> dict[str, str]:
    """Bring every view in Redis up to `until`; returns from when on each was read."""
    from redis.exceptions import RedisError

    from payloads.store import progress

    noted = progress.Progress(progress.client(redis, REDIS_TIMEOUT_S), settings.project)
    read: dict[str, str] = {}
    try:
        for view in store.list_feature_views():
            lateness = timedelta(hours=settings.lateness_hours)
            start = progress.window(view, noted.reached(view), until, lateness)
            if start is None:
                reporting.progress(f"{view.name}: Redis knows all up to {until.isoformat()}")
                continue
            with _quiet():
                store.materialize(start_date=start, end_date=until, feature_views=[view.name])
            noted.note(view, until)
            read[view.name] = start.isoformat()
            reporting.progress(f"{view.name}: materialised from {start.isoformat()} to {until.isoformat()}")
    except RedisError as error:
        raise PayloadError(
            f"Redis at {redis.address} failed ({type(error).__name__}): see that it runs, and run this again; "
            "it goes on where it was"
        ) from None
    return read


if __name__ == "__main__":
    run_main(main)
