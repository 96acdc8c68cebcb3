"""What a run finds to do, and the doing of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow.entities import ViewType

from payloads.common import driver, reporting
from payloads.common.settings import Platform
from payloads.common.storage import Storage
from payloads.common.tracking import KEY_TAG, RESULT_TAG, TrackedRun
from payloads.continuous import champion as champions
from payloads.continuous import forgetting, rows
from payloads.continuous.objects import Objects
from payloads.continuous.partitions import Partition, Plan, fingerprints, partitions, plan
from payloads.continuous.settings import ContinuousSettings
from payloads.data.digits import Manifest
from payloads.training.settings import TrainSettings

if TYPE_CHECKING:
    import mlflow

    from payloads.continuous.lease import Lease

OUTCOME_TAG, REASON_TAG = "manta.outcome", "manta.reason"
# What a retry may change without being another run.
_HOW = {"num_workers", "cpus_per_worker", "gpus_per_worker", "lease_s", "sample_days"}


@dataclass(frozen=True)
class Task:
    """`nothing` says why there is nothing to do. `warm`: the champion's weights are gone on with."""

    key: str
    plan: Plan
    accepted: tuple[Partition, ...]
    refused: dict[str, str]
    champion: champions.Champion | None
    warm: bool
    notes: tuple[str, ...]
    nothing: str | None

    def summary(self, settings: ContinuousSettings) -> dict[str, Any]:
        return {
            "model": settings.model_name,
            "champion": None if self.champion is None else self.champion.version,
            "partitions": {
                "new": [each.name for each in self.plan.new if each.name not in self.refused],
                "changed": [each.name for each in self.plan.changed if each.name not in self.refused],
                "known": len(self.plan.known),
                "gone": list(self.plan.gone),
                "refused": self.refused,
            },
        }

    @property
    def seen(self) -> dict[str, str]:
        """What the challenger will have seen."""
        return fingerprints([*self.plan.known, *self.accepted])


def look(
    settings: ContinuousSettings, platform: Platform, storage: Storage, objects: Objects, client: mlflow.MlflowClient
) -> Task:
    """Compare the partitions that are there with those that the champion has seen."""
    champion = champions.find(client, settings.model_name)
    notes, warm = [], False
    if champion is not None:
        why = (
            "nothing says what it has seen"
            if champion.lineage is None
            else champion.lineage.differs(champions.of_settings(settings, {}))
        )
        warm = why is None
        if why is not None:
            notes.append(f"champion {champion.version} is no start: {why}; training begins anew, on every partition")
    seen = champion.lineage.partitions if warm and champion is not None and champion.lineage is not None else {}
    found = plan(partitions(settings.dataset, objects.below(settings.dataset)), seen)
    checked = {each.name: rows.refusal(storage, settings.dataset, each) for each in found.pending}
    refused = {name: reason for name, reason in checked.items() if reason is not None}
    notes += [f"partition {name} is left out: {reason}" for name, reason in refused.items()]
    accepted = tuple(each for each in found.pending if each.name not in refused)
    parts = {
        "settings": settings.model_dump(mode="json", exclude=_HOW),
        "champion": None if champion is None else champion.version,
        "partitions": fingerprints([*found.known, *accepted]),
    }
    key = driver.key_of(settings.run_name, platform, parts)
    nothing = _nothing(settings, client, key, champion, accepted)
    return Task(key, found, accepted, refused, champion, warm, tuple(notes), nothing)


def do(
    task: Task,
    settings: ContinuousSettings,
    platform: Platform,
    storage: Storage,
    client: mlflow.MlflowClient,
    run: TrackedRun,
    lease: Lease,
) -> dict[str, Any]:
    """Train on what is new, judge the result on the held-out rows of all partitions, register or discard it."""
    from payloads.common import cluster
    from payloads.training import fit, gate

    lineage = champions.of_settings(settings, task.seen)
    identity = hashlib.sha256(json.dumps(task.seen, sort_keys=True).encode()).hexdigest()
    cluster.start_ray()
    run.start(settings.model_dump(mode="json", exclude=_HOW), driver.lineage(platform, settings.run_name, identity))
    before = task.champion
    start = before if task.warm else None
    reporting.progress(
        f"{len(task.accepted)} new partitions ({', '.join(each.name for each in task.accepted[:5])}"
        f"{', ...' if len(task.accepted) > 5 else ''}), {len(task.plan.known)} known, "
        + (f"from the weights of version {start.version}" if start else "from random weights")
    )
    scaler = start.scaler if start else None
    given = rows.gather(storage, settings, task.accepted, task.plan.known, scaler, int(task.key[-12:], 16))
    summary = {
        **task.summary(settings),
        "start": "warm" if start else "cold",
        "rows": {"new": given.new, "replayed": given.replayed, "left_out": given.left_out},
    }
    reporting.progress(f"{given.new} new rows, {given.replayed} replayed, {given.left_out} left out as unusable")
    if given.new < settings.least_rows:
        reason = f"{given.new} new rows are fewer than the {settings.least_rows} that a run waits for"
        return _noted(client, run, {**summary, "outcome": "waiting", "reason": reason})

    best = fit.fit(plain(settings), storage, given.data, run, task.key, start.network if start else None)
    challenger = fit.load_classifier(best, settings, given.data)
    objection = None
    if before is not None and given.earlier is not None:
        comparison = forgetting.compared(before.model, challenger, given.earlier)
        objection = forgetting.objection(comparison, settings.alpha)
        summary["earlier"] = {
            "rows": comparison.rows,
            "gained": comparison.gained,
            "lost": comparison.lost,
            "p": comparison.p_value,
        }
        reporting.progress(
            f"earlier partitions: of {comparison.rows} held-out rows it gains {comparison.gained} and loses "
            f"{comparison.lost} against the champion (p = {comparison.p_value:.2g})"
        )
    champions.leave(client, run.id, lineage)
    lease.check()
    manifest = Manifest(settings.dataset, identity, given.data.train.count(), settings.labels, {})
    judged = gate.submit(challenger, settings, manifest, given.data, client, run, objection)
    outcome = "registered" if judged["registered"] else "discarded"
    return _noted(client, run, {**summary, **judged, "outcome": outcome})


def plain(settings: ContinuousSettings) -> TrainSettings:
    """What its workers need to know."""
    return TrainSettings.model_validate(settings.model_dump(include=set(TrainSettings.model_fields)))


def _noted(client: mlflow.MlflowClient, run: TrackedRun, result: dict[str, Any]) -> dict[str, Any]:
    client.set_tag(run.id, OUTCOME_TAG, result["outcome"])
    client.set_tag(run.id, REASON_TAG, result["reason"])
    return result


def _nothing(
    settings: ContinuousSettings,
    client: mlflow.MlflowClient,
    key: str,
    champion: champions.Champion | None,
    accepted: tuple[Partition, ...],
) -> str | None:
    """Why there is nothing to do; None if there is."""
    if not accepted:
        told = "there is no partition" if champion is None else f"champion {champion.version} has seen every partition"
        return f"{told} of {settings.dataset} that can be read"
    tried = _finished(settings, client, key)
    if tried is None:
        return None
    names = ", ".join(each.name for each in accepted)
    return f"{names} {'was' if len(accepted) == 1 else 'were'} tried before: {tried['outcome']}, {tried['reason']}"


def _finished(settings: ContinuousSettings, client: mlflow.MlflowClient, key: str) -> dict[str, Any] | None:
    """The result of the run of `key`, if there is one that has finished."""
    experiment = client.get_experiment_by_name(settings.experiment)
    if experiment is None:
        return None
    runs = client.search_runs(
        [experiment.experiment_id],
        f"tags.`{KEY_TAG}` = '{key}' and attributes.status = 'FINISHED'",
        run_view_type=ViewType.ACTIVE_ONLY,
        max_results=1,
    )
    return json.loads(runs[0].data.tags[RESULT_TAG]) if runs and RESULT_TAG in runs[0].data.tags else None
