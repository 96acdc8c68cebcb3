"""Scikit-learn's digits cut into dated partitions: half of them on the first day, the rest on nine others."""

from __future__ import annotations

import datetime
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from payloads.common.storage import Storage
from payloads.data.digits import build_table

DAYS = 10
FIRST = datetime.date(2026, 1, 1)


def ensure(storage: Storage, folder: str, days: int) -> None:
    """Write the first `days` days of the sample below `folder`, those that are not there."""
    for number in range(days):
        path = f"{folder}/{name(number)}/part.parquet"
        if not storage.exists(path):
            write(storage, path, day(number))


def name(number: int) -> str:
    return f"day={FIRST + datetime.timedelta(days=number)}"


def day(number: int) -> pa.Table:
    """Rows of day `number`, from 0 to 9: columns id, pixels and label, in the order of a fixed shuffle."""
    table = build_table()
    order = np.random.default_rng(17).permutation(table.num_rows)
    first, *others = np.split(order, [table.num_rows // 2])
    parts = [first, *np.array_split(others[0], DAYS - 1)]
    return table.take(pa.array(parts[number]))


def write(storage: Storage, path: str, table: pa.Table) -> None:
    """Write `table` as one object; equal tables give equal bytes, and so equal ETags."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    storage.write(path, buffer.getvalue())
