"""Both passes in their order: what the second needs from the first, and what the run adds up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from payloads.common import reporting
from payloads.common.errors import PayloadError
from payloads.common.receipts import Receipt
from payloads.common.tasks import Limits
from payloads.data import splits
from payloads.data.scaler import Moments
from payloads.data.units import Told, stage
from payloads.images import stages
from payloads.images.settings import ImageSettings
from payloads.images.source import Unit
from payloads.images.stages import QUARANTINE, Job

SAME = "the same picture as another"
CONTRADICTED = "the same picture lies in another class too"
Repeats = dict[int, dict[int, str]]


@dataclass(frozen=True)
class Outcome:
    """`files` maps a split (or quarantine) to what was written: path, rows, bytes, sha256 each.

    `mean` and `deviation` are those of each channel over the train images, in 0..1.
    """

    files: dict[str, list[dict[str, Any]]]
    classes: tuple[str, ...]
    reasons: dict[str, int]
    mean: list[float]
    deviation: list[float]


def run(job: Job, plan: list[Unit], settings: ImageSettings) -> Outcome:
    """Both passes over `plan`.

    Raises PayloadError if more of the source is unusable than the settings allow or a class is too small to split.
    """
    decoded = _decode(job, plan, settings)
    repeats = repeated(decoded)
    reasons = Counter(reason for rows in repeats.values() for reason in rows.values())
    for receipt in decoded:
        reasons.update(receipt["reasons"])
    _refuse_if_rotten(job, sum(receipt["images"] for receipt in decoded), reasons, settings)
    where = cuts(decoded, repeats, settings)
    limits = Limits(at_once=settings.num_workers, cpus=settings.cpus_per_worker)
    written = stage(job.receipts("write"), "write", plan, stages.write, (job, where, repeats), limits)
    return outcome(decoded, written, where.classes, dict(sorted(reasons.items())))


def _decode(job: Job, plan: list[Unit], settings: ImageSettings) -> list[Receipt]:
    """The first pass, streamed through actors by Ray Data; receipts of all units, in their order."""
    import ray.data
    from ray.data import ActorPoolStrategy

    receipts = job.receipts("decode")
    before = receipts.found()
    left = [unit for unit in plan if unit.index not in before]
    told = Told("decode", len(plan), len(before))
    if left:
        done = (
            ray.data.from_items([{"unit": unit.to_json()} for unit in left], override_num_blocks=len(left))
            .map_batches(
                stages.Decoder,
                batch_size=1,
                batch_format="pyarrow",
                fn_constructor_args=(job,),
                compute=ActorPoolStrategy(size=min(settings.num_workers, len(left))),
                num_cpus=settings.cpus_per_worker,
            )
            .iter_rows()
        )
        for count, _ in enumerate(done, start=len(before) + 1):
            told.done(count)
    found = receipts.found()
    return [found[unit.index] for unit in plan]


def repeated(decoded: Iterable[Receipt]) -> Repeats:
    """By unit and row, the images to leave out because of others with the same pixels.

    The first of its class stays. One that lies in two classes goes altogether: which of them is right is not known, and
    with one in train and the other in test the split would leak.
    """
    ids, labels, places = _flat(decoded)
    order = np.argsort(ids, kind="stable")
    out: Repeats = {}
    for run_of in np.split(order, np.flatnonzero(np.diff(ids[order])) + 1):
        several = len(set(labels[run_of].tolist())) > 1
        for each in run_of if several else run_of[1:]:
            unit, row = places[each]
            out.setdefault(int(unit), {})[int(row)] = CONTRADICTED if several else SAME
    return out


def cuts(decoded: list[Receipt], repeats: Repeats, settings: ImageSettings) -> splits.Cuts:
    """Cut points from the ids and labels of all images that stay, which pass through the driver (30 bytes each)."""
    ids, labels, places = _flat(decoded)
    stay = np.array([row not in repeats.get(unit, {}) for unit, row in places.tolist()], bool)
    fractions = splits.Fractions(settings.validation_fraction, settings.test_fraction)
    try:
        return splits.cut_points(ids[stay], labels[stay], fractions, settings.split_seed)
    except ValueError as error:
        raise PayloadError(f"source {settings.folder} cannot be split: {error}") from None


def _flat(decoded: Iterable[Receipt]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, labels and places (unit, row) of all decoded images."""
    receipts = list(decoded)
    ids = np.concatenate([np.asarray(receipt["ids"], np.int64) for receipt in receipts])
    labels = np.concatenate([np.asarray(receipt["labels"], str) for receipt in receipts])
    places = [(unit, row) for unit, receipt in enumerate(receipts) for row in range(len(receipt["ids"]))]
    return ids, labels, np.asarray(places, np.int64).reshape(-1, 2)


def outcome(
    decoded: list[Receipt], written: list[Receipt], classes: tuple[str, ...], reasons: dict[str, int]
) -> Outcome:
    """What the receipts of both passes add up to."""
    files: dict[str, list[dict[str, Any]]] = {name: [] for name in (*stages.SPLITS, QUARANTINE)}
    for receipt in [*decoded, *written]:
        for name, file in receipt["files"].items():
            files[name].append(file)
    total = _total(written)
    deviation = np.sqrt(total.squares / total.count)
    return Outcome(files, classes, reasons, total.mean.tolist(), deviation.tolist())


def _refuse_if_rotten(job: Job, images: int, reasons: Counter[str], settings: ImageSettings) -> None:
    bad = reasons.total()
    reporting.progress(f"{bad} of {images} images are in quarantine")
    if bad > settings.max_quarantined * images:
        reason, count = reasons.most_common(1)[0]
        raise PayloadError(
            f"source {job.storage.path(settings.folder)}: {bad} of {images} images cannot be used, more than "
            f"--max-quarantined {settings.max_quarantined:g}; the most frequent reason is '{reason}' ({count} images), "
            f"all are in {job.storage.path(job.folder, QUARANTINE)}"
        )


def _total(written: list[Receipt]) -> Moments:
    """Added up in the order of the units, not of their ends: float sums depend on it in the last digit."""
    parts = [Moments(*(np.asarray(receipt[key]) for key in ("count", "mean", "squares"))) for receipt in written]
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return total
