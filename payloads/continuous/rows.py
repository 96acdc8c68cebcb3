"""The rows of a run: all of the new partitions, a sample of the earlier ones, and what is held out of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from payloads.common.errors import PayloadError
from payloads.common.storage import Storage
from payloads.continuous.partitions import Partition
from payloads.continuous.settings import ContinuousSettings
from payloads.data import parquet, pipeline, splits
from payloads.data.digits import INTENSITY_MAX, PIXELS
from payloads.data.scaler import Scaler

if TYPE_CHECKING:
    import ray.data

COLUMNS = {"id": pa.types.is_integer, "pixels": pa.types.is_fixed_size_list, "label": pa.types.is_string}


@dataclass(frozen=True)
class Rows:
    """`data` is what is trained on and judged by; `earlier` are the held-out rows of earlier partitions alone."""

    data: pipeline.Prepared
    earlier: ray.data.Dataset | None
    new: int
    replayed: int
    left_out: int


def refusal(storage: Storage, folder: str, partition: Partition) -> str | None:
    """Why a partition cannot be read, in words; None if it can. Only footers are read."""
    try:
        source = parquet.survey(storage, f"{folder}/{partition.name}", _misfit)
    except PayloadError as error:
        return str(error)
    return "; ".join(f"{name} {reason}" for name, reason in sorted(source.refused.items())) or None


def gather(
    storage: Storage,
    settings: ContinuousSettings,
    pending: Sequence[Partition],
    known: Sequence[Partition],
    scaler: Scaler | None,
    draw_seed: int,
) -> Rows:
    """Read, split and standardise; `scaler` is the champion's where its weights are gone on with.

    A row keeps its split for ever: its id is compared with fixed thresholds. Which earlier rows are replayed depends on
    `draw_seed`, so that another run replays others.
    """
    size = len(settings.labels)
    held_out = settings.test_fraction + settings.validation_fraction
    cuts = splits.Cuts(settings.split_seed, settings.labels, (settings.test_fraction,) * size, (held_out,) * size)
    new, left_out = _divided(storage, settings, pending, cuts, scaler)
    rows = new.train.count()
    if not known:
        return Rows(new, None, rows, 0, left_out)
    old, unusable = _divided(storage, settings, known, cuts, new.scaler)
    share = min(1.0, settings.replay * rows / max(old.train.count(), 1))
    replayed = old.train.map_batches(_sample, fn_kwargs={"share": share, "seed": draw_seed}).materialize()
    data = pipeline.Prepared(
        train=new.train.union(replayed).materialize(),
        validation=new.validation.union(old.validation).materialize(),
        test=new.test.union(old.test).materialize(),
        scaler=new.scaler,
        classes=new.classes,
    )
    return Rows(data, old.test, rows, replayed.count(), left_out + unusable)


def _divided(
    storage: Storage,
    settings: ContinuousSettings,
    partitions: Sequence[Partition],
    cuts: splits.Cuts,
    scaler: Scaler | None,
) -> tuple[pipeline.Prepared, int]:
    import ray.data

    files = [storage.path(file) for partition in partitions for file in partition.files]
    read = ray.data.read_parquet(files, filesystem=storage.filesystem).select_columns(list(COLUMNS))
    usable = read.map_batches(_usable, fn_kwargs={"labels": settings.labels}).materialize()
    left = usable.count()
    if not left:
        names = ", ".join(partition.name for partition in partitions)
        raise PayloadError(f"no row of {names} in {settings.dataset} can be used: mend what writes them")
    return pipeline.divide(usable, cuts, scaler), read.count() - left


def _usable(batch: pipeline.Batch, labels: tuple[str, ...]) -> pipeline.Batch:
    """The rows that could have come from a scan and whose label is known."""
    pixels = pipeline.matrix(batch["pixels"])
    in_range = (pixels >= 0) & (pixels <= INTENSITY_MAX)  # false for what is not a number
    good = in_range.all(axis=1) & np.isin(batch["label"].astype(str), labels)
    return {name: values[good] for name, values in {**batch, "pixels": pixels}.items()}


def _sample(batch: pipeline.Batch, share: float, seed: int) -> pipeline.Batch:
    chosen = splits.draw(batch["id"], seed) < share
    return {name: values[chosen] for name, values in batch.items()}


def _misfit(schema: pa.Schema) -> str | None:
    for name, fits in COLUMNS.items():
        if name not in schema.names:
            return f"has no column {name}"
        if not fits(schema.field(name).type):
            return f"has a column {name} of type {schema.field(name).type}"
    size = schema.field("pixels").type.list_size
    return None if size == PIXELS else f"has {size} pixels a row and not {PIXELS}"
