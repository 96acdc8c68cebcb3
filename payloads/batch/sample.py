"""Made rows to predict: scikit-learn's digits over and over, each time with noise of its own.

Every thousandth row is spoilt, so that what happens to such a row can be seen.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from payloads.common.storage import Storage
from payloads.data import samples
from payloads.data.digits import INTENSITY_MAX, PIXELS, build_table, pixel_matrix

ROWS_A_FILE = 200_000
ROWS_A_GROUP = 20_000
SPOILT_EVERY = 1000
# Half a grey level: the digits stay what they are.
NOISE = 0.5


def ensure(storage: Storage, folder: str, rows: int) -> None:
    """Write the first `rows` rows of the sample below `folder` unless they are there."""
    samples.ensure(storage, folder, rows, table, ROWS_A_FILE, ROWS_A_GROUP)


def table(first: int, rows: int) -> pa.Table:
    """Columns id int64, pixels list of 64 float32; row i is digit i modulo 1797."""
    ids = np.arange(first, first + rows)
    source = pixel_matrix(build_table())
    noise = np.random.default_rng([11, first]).normal(0, NOISE, (rows, PIXELS))
    pixels = np.clip(source[ids % len(source)] + noise, 0, INTENSITY_MAX).astype(np.float32)
    pixels[ids % SPOILT_EVERY == SPOILT_EVERY - 1, 0] = np.nan
    return pa.table({"id": ids, "pixels": pa.FixedSizeListArray.from_arrays(pa.array(pixels.ravel()), PIXELS)})
