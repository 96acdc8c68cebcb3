"""Made rows to predict: scikit-learn's digits over and over, each time with noise of its own.

Every thousandth row is spoilt, so that what happens to such a row can be seen.
"""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from payloads.common.storage import Storage
from payloads.data.digits import INTENSITY_MAX, PIXELS, build_table, pixel_matrix

ROWS_A_FILE = 200_000
ROWS_A_GROUP = 20_000
SPOILT_EVERY = 1000
# Half a grey level: the digits stay what they are.
NOISE = 0.5


def ensure(storage: Storage, folder: str, rows: int) -> None:
    """Write the first `rows` rows of the sample below `folder` unless they are there."""
    if storage.read_json(f"{folder}/sample.json") == {"rows": rows}:
        return
    for number, first in enumerate(range(0, rows, ROWS_A_FILE)):
        buffer = io.BytesIO()
        pq.write_table(table(first, min(ROWS_A_FILE, rows - first)), buffer, row_group_size=ROWS_A_GROUP)
        storage.write(f"{folder}/part-{number:05d}.parquet", buffer.getvalue())
    storage.write_json(f"{folder}/sample.json", {"rows": rows})


def table(first: int, rows: int) -> pa.Table:
    """Columns id int64, pixels list of 64 float32; row i is digit i modulo 1797."""
    ids = np.arange(first, first + rows)
    source = pixel_matrix(build_table())
    noise = np.random.default_rng([11, first]).normal(0, NOISE, (rows, PIXELS))
    pixels = np.clip(source[ids % len(source)] + noise, 0, INTENSITY_MAX).astype(np.float32)
    pixels[ids % SPOILT_EVERY == SPOILT_EVERY - 1, 0] = np.nan
    return pa.table({"id": ids, "pixels": pa.FixedSizeListArray.from_arrays(pa.array(pixels.ravel()), PIXELS)})
