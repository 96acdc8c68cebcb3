"""Made data on object storage, written once."""

from __future__ import annotations

import io
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from payloads.common.storage import Storage


def ensure(
    storage: Storage, folder: str, rows: int, table: Callable[[int, int], pa.Table], file_rows: int, group_rows: int
) -> None:
    """Write `rows` rows below `folder` unless they are there: `table(first, count)` gives those from `first` on.

    The note of what is there is written last, so that a writer that was killed is simply repeated.
    """
    if storage.read_json(f"{folder}/sample.json") == {"rows": rows}:
        return
    for number, first in enumerate(range(0, rows, file_rows)):
        buffer = io.BytesIO()
        pq.write_table(table(first, min(file_rows, rows - first)), buffer, row_group_size=group_rows)
        storage.write(f"{folder}/part-{number:05d}.parquet", buffer.getvalue())
    storage.write_json(f"{folder}/sample.json", {"rows": rows})
