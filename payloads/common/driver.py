"""What every driver of a run does alike: one tracking run, one result, an end that is noted however it comes.

A driver may be started again at any point, on the same Ray cluster or a new one. What it finds of an earlier attempt
under its key it goes on with, and a run that has finished only reports its result again.
"""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from payloads.common import reporting
from payloads.common.settings import Platform

if TYPE_CHECKING:
    import mlflow

    from payloads.common.tracking import TrackedRun

Work = Callable[["mlflow.MlflowClient", "TrackedRun"], dict[str, Any]]


def key_of(name: str, platform: Platform, parts: Mapping[str, Any]) -> str:
    """Identity of a run: `<name>-<hash>` of everything that its result depends on, code and image included.

    A retry has the same key and resumes. Other parameters, code, image or data under an old name are another run.
    """
    identity = {**parts, "bundle": platform.bundle_hash, "image": platform.image}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return f"{name}-{digest[:12]}"


def run_once(platform: Platform, experiment: str, name: str, key: str, work: Work) -> None:
    """Do `work` under the MLflow run of `key` and print its result; a run that has finished is not done again.

    A failure ends the MLflow run as FAILED, a signal as KILLED, so that no run is left that seems to go on.
    """
    from payloads.common import tracking

    with tracking.explained(platform):
        client = tracking.connect(platform)
        run = tracking.find_or_create(client, experiment, key, name)
        if run.result is not None:
            reporting.progress(f"run {name} has already finished, nothing is done again")
            reporting.result(json.loads(run.result))
            return
        try:
            result = work(client, run)
            run.finish(json.dumps(result))
        except BaseException as error:
            run.abandon("FAILED" if isinstance(error, Exception) else "KILLED")
            raise
    reporting.result(result)


def lineage(platform: Platform, name: str, dataset: str) -> dict[str, str]:
    """Tags that say where a run's result comes from; Ray must be connected."""
    from payloads.common.cluster import job_id

    return {
        "manta.run": name,
        "manta.stack": platform.stack,
        "manta.bundle": platform.bundle_hash,
        "manta.image": platform.image,
        "manta.dataset": dataset,
        "manta.ray_job": job_id(),
    }


def leave_on_sigterm() -> None:
    """Kubernetes and `ray job stop` send SIGTERM: leave through the exception path, so the run ends as KILLED."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, _frame: Any) -> None:
    raise SystemExit(128 + number)
