"""Driver of the Ray Core run: `python -m payloads.core.prove --run-name first`.

Normalises shards by tasks, trains by a parameter server and reads one object from many tasks, and fails unless what Ray
promises of each was seen: no more in flight than allowed, no gradient lost or counted twice, no copy made.
"""

from __future__ import annotations

from typing import Any

from payloads.common import driver, reporting
from payloads.common.cli import parse
from payloads.common.errors import PayloadError, run_main
from payloads.common.settings import Platform, read_platform
from payloads.core.settings import CoreSettings


def main(arguments: list[str] | None = None) -> None:
    """Parse, connect, do all three; prints `progress:` lines and one `result:` line."""
    settings = parse(CoreSettings, __doc__ or "", arguments)
    platform = read_platform()
    driver.leave_on_sigterm()

    from payloads.common import storage as object_storage

    storage = object_storage.open_storage(platform)
    object_storage.check_storage(storage, platform)
    key = driver.key_of(settings.run_name, platform, {"settings": settings.model_dump(mode="json")})

    def work(client: Any, run: Any) -> dict[str, Any]:
        return _run(settings, platform, storage, key, client, run)

    driver.run_once(platform, settings.experiment, settings.run_name, key, work)


def _run(settings: CoreSettings, platform: Platform, storage: Any, key: str, client: Any, run: Any) -> dict[str, Any]:
    from payloads.common import cluster

    cluster.start_ray()
    run.start(settings.model_dump(mode="json"), driver.lineage(platform, settings.run_name, "made"))
    result = {
        "run": settings.run_name,
        "run_id": run.id,
        **_shards(settings, storage, key),
        **_server(settings, key),
        **_zero_copy(settings),
    }
    client.log_dict(run.id, result, "proof.json")
    return result


def _shards(settings: CoreSettings, storage: Any, key: str) -> dict[str, Any]:
    from payloads.core import shards

    job = shards.Shards(storage, f"core/{key}", settings.shards, settings.shard_rows, settings.shard_columns)
    proof = shards.run(job, _limits(settings))
    if proof.most_in_flight > settings.num_workers:
        raise PayloadError(f"{proof.most_in_flight} tasks were in flight, more than {settings.num_workers} workers")
    return {
        "shards": settings.shards,
        "shards_done_before": proof.done_before,
        "most_in_flight": proof.most_in_flight,
        "folder": job.folder,
    }


def _server(settings: CoreSettings, key: str) -> dict[str, Any]:
    import numpy as np
    import ray

    from payloads.common.tasks import bounded
    from payloads.core import server

    problem = server.Problem(settings.parameters, settings.num_workers, settings.steps, settings.in_flight)
    actor = server.find_or_start(f"parameters-{key}", problem, settings.queue)
    before = ray.get(actor.report.remote())["applied"]
    wanted = problem.wanted()
    for worker, _ in bounded(server.work, range(problem.workers), (actor, problem), _limits(settings)):
        reporting.progress(f"parameter server: worker {worker} of {problem.workers} has pushed its gradients")
    stats = ray.get(actor.drain.remote())
    left = float(np.square(ray.get(actor.pull.remote()) - wanted).mean() / np.square(wanted).mean())
    server.check(stats, problem, settings.queue, left)
    ray.kill(actor)
    reporting.progress(
        f"parameter server: {stats['applied']} gradients, {before} before this attempt, queue at most "
        f"{stats['longest']} of {settings.queue}, {left:.0%} of the error left"
    )
    return {
        "gradients": stats["applied"],
        "gradients_before": before,
        "longest_queue": stats["longest"],
        "pushes_that_waited": stats["waited"],
        "error_left": left,
    }


def _zero_copy(settings: CoreSettings) -> dict[str, Any]:
    import numpy as np

    from payloads.core import zerocopy

    matrix = np.ones((settings.matrix_rows, settings.matrix_columns), np.float32)
    sights = zerocopy.run(matrix, settings.slices, _limits(settings))
    copies = sum(sight.copied for sight in sights)
    total = sum(sight.total for sight in sights)
    reporting.progress(f"shared matrix of {matrix.nbytes / 1e6:.0f} MB: {len(sights)} readers, copies made: {copies}")
    if copies:
        raise PayloadError(f"{copies} of {len(sights)} readers made a copy of their slice")
    if total != matrix.size:
        raise PayloadError(f"the readers' sums add up to {total:g} and not to {matrix.size}")
    return {"matrix_bytes": matrix.nbytes, "readers": len(sights), "copies": copies}


def _limits(settings: CoreSettings) -> Any:
    from payloads.common.tasks import Limits

    return Limits(settings.num_workers, settings.cpus_per_worker, settings.gpus_per_worker)


if __name__ == "__main__":
    run_main(main)
