"""Rows of a window of time out of a folder of Parquet, and their times as microseconds in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
from feast.data_source import DataSource

from payloads.common.errors import PayloadError
from payloads.store.registry import place

MICROSECONDS = pa.timestamp("us", tz="UTC")


def read(
    source: DataSource, columns: Sequence[str], time: str, start: datetime | None, end: datetime | None
) -> pa.Table:
    """Rows of `source` with start <= time <= end; times without a zone are UTC.

    Files that have nothing of that window in their statistics are not fetched. Raises PayloadError where there is no
    such folder or a column is missing.
    """
    if source.field_mapping:
        raise PayloadError(f"source {source.name} renames columns, which this store does not: rename the features")
    filesystem, path = place(str(source.path))  # type: ignore[attr-defined]
    try:
        data = pyarrow.dataset.dataset(path, filesystem=filesystem, format="parquet")
    except FileNotFoundError:
        raise PayloadError(f"source {source.name}: there is nothing at {path}: write its Parquet files first") from None
    if missing := [name for name in columns if name not in data.schema.names]:
        raise PayloadError(f"source {source.name} at {path} has no column {missing[0]}: correct the definition")
    kind = data.schema.field(time).type
    field = pyarrow.dataset.field(time)
    within = pyarrow.dataset.scalar(True)
    if start is not None:
        within &= field >= _scalar(start, kind)
    if end is not None:
        within &= field <= _scalar(end, kind)
    table = data.to_table(columns=list(dict.fromkeys(columns)), filter=within)
    for index, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type):
            table = table.set_column(index, column.name, utc(table[column.name]))
    return table


def utc(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times without a zone are UTC."""
    if column.type.tz is None:
        column = pc.assume_timezone(column, "UTC")
    # Nanoseconds are cut off: Feast's own times have microseconds.
    return column.cast(MICROSECONDS, safe=False)


def micros(column: pa.ChunkedArray) -> np.ndarray:
    """Of a column by `utc`: int64 microseconds since 1970; raises PayloadError where a time is missing."""
    if column.null_count:
        raise PayloadError(f"{column.null_count} rows have no time: leave such rows out")
    return column.cast(pa.int64()).to_numpy()


def moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(micros))


def _scalar(moment: datetime, kind: pa.DataType) -> pa.Scalar:
    at = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return pa.scalar(at, MICROSECONDS).cast(pa.timestamp("us")).cast(kind) if kind.tz is None else pa.scalar(at, kind)
