"""Driver of continuous training: `python -m payloads.continuous.train --run-name nightly`.

Trains on the partitions that the champion has not seen, from its weights, and registers the result or discards it, with
the reason. Ends at once where there is nothing new. May be started again at any point: the same partitions on the same
champion are the same run, which goes on from its last checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payloads.common import driver, reporting
from payloads.common.cli import parse
from payloads.common.errors import run_main
from payloads.common.settings import Platform, read_platform
from payloads.continuous.settings import ContinuousSettings

if TYPE_CHECKING:
    from payloads.common.storage import Storage


def main(arguments: list[str] | None = None) -> None:
    """Parse, take the lease, look for what is new, train, judge; prints `progress:` lines and one `result:` line."""
    settings = parse(ContinuousSettings, __doc__ or "", arguments)
    platform = read_platform()
    driver.leave_on_sigterm()

    from payloads.common import storage as object_storage
    from payloads.continuous import sample
    from payloads.continuous.lease import HeldError, Lease
    from payloads.continuous.objects import Objects, explained

    storage = object_storage.open_storage(platform)
    object_storage.check_storage(storage, platform)
    sample.ensure(storage, settings.dataset, settings.sample_days)
    objects = Objects(platform)
    path = f"continuous-runs/{settings.model_name}.json"
    try:
        with explained(platform), Lease(objects, path, settings.run_name, settings.lease_s) as lease:
            _run(settings, platform, storage, objects, lease)
    except HeldError as error:
        reporting.progress(f"nothing is done: {error}, and there is one at a time")
        reporting.result({"outcome": "busy", "model": settings.model_name, "reason": str(error)})


def _run(settings: ContinuousSettings, platform: Platform, storage: Storage, objects: Any, lease: Any) -> None:
    from payloads.common import tracking
    from payloads.continuous import work

    with tracking.explained(platform):
        client = tracking.connect(platform)
        task = work.look(settings, platform, storage, objects, client)
    for line in task.notes:
        reporting.progress(line)
    if task.nothing is not None:
        reporting.progress(f"nothing new: {task.nothing}")
        reporting.result({**task.summary(settings), "outcome": "nothing new", "reason": task.nothing})
        return
    driver.run_once(
        platform,
        settings.experiment,
        settings.run_name,
        task.key,
        lambda client, run: work.do(task, settings, platform, storage, client, run, lease),
    )


if __name__ == "__main__":
    run_main(main)
