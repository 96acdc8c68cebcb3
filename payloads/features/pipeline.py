"""The passes in their order: what each needs from the one before, and what the run adds up to."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from payloads.common import reporting
from payloads.common.errors import PayloadError
from payloads.common.receipts import Receipt
from payloads.common.tasks import Limits
from payloads.data import splits
from payloads.data.parquet import Source, Unit
from payloads.data.scaler import Moments
from payloads.data.units import stage
from payloads.features import cuts, stages, transform
from payloads.features.settings import FeatureSettings
from payloads.features.stages import Job


@dataclass(frozen=True)
class Outcome:
    """`files` maps a split (or quarantine) to what was written: path, rows, bytes, sha256 each."""

    files: dict[str, list[dict[str, Any]]]
    reasons: dict[str, int]
    filtered: int
    transform: transform.Transform

    def rows(self, name: str) -> int:
        return sum(file["rows"] for file in self.files.get(name, []))


def run(job: Job, plan: list[Unit], origin: Source, settings: FeatureSettings) -> Outcome:
    """All three passes over `plan`.

    Raises PayloadError if the source is worse than the settings allow or a class is too small to split.
    """
    limits = Limits(at_once=settings.num_workers, cpus=settings.cpus_per_worker)
    scanned = stage(job.receipts("scan"), "scan", plan, stages.scan, (job,), limits)
    _refuse_if_rotten(job, scanned, origin, settings)
    where = _cuts(job.contract.classes, scanned, settings)
    measured = stage(job.receipts("measure"), "measure", plan, stages.measure, (job, where), limits)
    features = transform.fit(job.contract, _total(measured))
    job.storage.write(f"{job.folder}/transform.json", features.to_json().encode())
    written = stage(job.receipts("write"), "write", plan, stages.write, (job, where, features), limits)
    files: dict[str, list[dict[str, Any]]] = {name: [] for name in (*stages.SPLITS, "quarantine")}
    for receipt in [*scanned, *written]:
        for name, file in receipt["files"].items():
            files[name].append(file)
    return Outcome(
        files=files,
        reasons=_reasons(scanned),
        filtered=sum(receipt["filtered"] for receipt in scanned),
        transform=features,
    )


def _refuse_if_rotten(job: Job, scanned: list[Receipt], origin: Source, settings: FeatureSettings) -> None:
    bad = sum(receipt["quarantined"] for receipt in scanned)
    reporting.progress(f"{bad} of {origin.rows} rows are in quarantine")
    if bad > settings.max_quarantined * origin.rows:
        reason, rows = max(_reasons(scanned).items(), key=lambda entry: entry[1])
        raise PayloadError(
            f"source {job.storage.path(settings.folder)}: {bad} of {origin.rows} rows break contract "
            f"{job.contract.name}, more than --max-quarantined {settings.max_quarantined:g}; the most frequent reason "
            f"is '{reason}' ({rows} rows), all are in {job.storage.path(job.folder, 'quarantine')}"
        )


def _cuts(classes: tuple[str, ...], scanned: list[Receipt], settings: FeatureSettings) -> splits.Cuts:
    counts = np.zeros(len(classes) * cuts.BUCKETS, np.int64)
    for receipt in scanned:
        counts[receipt["cells"]] += np.asarray(receipt["counts"], np.int64)
    fractions = splits.Fractions(settings.validation_fraction, settings.test_fraction)
    try:
        return cuts.cut(counts.reshape(len(classes), -1), classes, fractions, settings.split_seed)
    except ValueError as error:
        raise PayloadError(f"source {settings.folder} cannot be split: {error}") from None


def _total(measured: list[Receipt]) -> Moments:
    """Added up in the order of the units, not of their ends: float sums depend on it in the last digit."""
    parts = [Moments(*(np.asarray(receipt[key]) for key in ("count", "mean", "squares"))) for receipt in measured]
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return total


def _reasons(scanned: list[Receipt]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for receipt in scanned:
        total.update(receipt["reasons"])
    return dict(sorted(total.items()))


def manifest(job: Job, origin: Source, outcome: Outcome) -> dict[str, Any]:
    """What the folder holds; written last, so a reader that finds it finds everything it names."""
    return {
        "contract": job.contract.name,
        "source": {
            "fingerprint": origin.fingerprint,
            "rows": origin.rows,
            "files": len(origin.files),
            "refused": origin.refused,
        },
        "classes": list(job.contract.classes),
        "features": outcome.transform.names,
        "rows": {name: outcome.rows(name) for name in outcome.files},
        "filtered": outcome.filtered,
        "reasons": outcome.reasons,
        "files": outcome.files,
    }


def encoded(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1, sort_keys=True)
