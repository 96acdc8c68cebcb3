"""Made interactions for machines that have no data yet: the columns of a real table, its disorder included.

The label follows from a few columns with noise, so that a model can learn it; one row in a hundred breaks the contract,
each in one of the ways of `FAULTS`, and one in fifty is a test user whom the contract's filter drops.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from payloads.common.storage import Storage
from payloads.data import samples

ROWS_A_FILE = 250_000
ROWS_A_GROUP = 50_000
VECTOR = 8
FAULT_EVERY = 100
TEST_USER_EVERY = 50
COUNTRIES = ("at", "de", "fr", "jp", "us")
PLANS = ("free", "plus", "team")
LABELS = ("negative", "neutral", "positive")
# How a row is spoilt, in turn, and what the checks say of it.
FAULTS = (
    ("age", "age: above 120"),
    ("spend", "spend: missing"),
    ("minutes", "minutes: not finite"),
    ("label", "label: not one of the declared values"),
    ("feature_vec", "feature_vec: not a vector of 8 numbers"),
)


def ensure(storage: Storage, folder: str, rows: int) -> None:
    """Write the first `rows` rows of the sample below `folder` unless they are there; equal rows give equal files."""
    samples.ensure(storage, folder, rows, table, ROWS_A_FILE, ROWS_A_GROUP)


def table(first: int, rows: int) -> pa.Table:
    """Rows `first` to `first + rows`; the same numbers however they are cut into files of whole thousands."""
    parts = [_part(start, min(1000, first + rows - start)) for start in range(first, first + rows, 1000)]
    return pa.concat_tables(parts)


def _part(first: int, rows: int) -> pa.Table:
    random = np.random.default_rng([7, first])
    ids = np.arange(first, first + rows)
    vector = random.normal(0, 1, (rows, VECTOR)).astype(np.float32)
    minutes = random.gamma(2.0, 60.0, rows)
    spend = random.gamma(1.5, 20.0, rows)
    errors = random.poisson(1.0, rows)
    mood = vector[:, 0] + 0.5 * vector[:, 1] + (minutes - 120) / 120 - (errors - 1) * 0.7
    mood += random.normal(0, 0.3, rows)
    label = np.array(LABELS)[np.digitize(mood, [-0.8, 0.6])].astype(object)
    age = random.integers(16, 90, rows)
    fault = np.full(rows, -1)
    spoilt = ids % FAULT_EVERY == FAULT_EVERY - 1
    fault[spoilt] = ids[spoilt] // FAULT_EVERY % len(FAULTS)
    age[fault == 0] = 1000
    minutes[fault == 2] = np.inf
    label[fault == 3] = "delighted"
    vectors = [values[: VECTOR - 1] if bad else values for values, bad in zip(vector, fault == 4, strict=True)]
    country = np.array(COUNTRIES)[random.integers(0, len(COUNTRIES), rows)].astype(object)
    country[ids % TEST_USER_EVERY == 0] = "test"
    return pa.table(
        {
            "row_id": ids,
            "label": pa.array(label, pa.string()),
            "age": age.astype(np.int32),
            "sessions": random.poisson(5.0, rows),
            "minutes": minutes,
            "pages": random.gamma(3.0, 10.0, rows),
            "searches": random.poisson(3.0, rows).astype(np.float64),
            "purchases": random.poisson(0.5, rows),
            "spend": pa.array(spend, mask=fault == 1),
            "refunds": random.gamma(0.5, 5.0, rows),
            "rating": pa.array(random.integers(1, 6, rows).astype(np.float64), mask=random.random(rows) < 0.2),
            "tenure_days": random.integers(1, 3000, rows),
            "latency_ms": random.gamma(2.0, 50.0, rows),
            "errors": errors,
            "newsletter": random.random(rows) < 0.4,
            "plan": pa.array(np.array(PLANS)[random.integers(0, len(PLANS), rows)], pa.string()),
            "feature_vec": pa.array(vectors, pa.list_(pa.float32())),
            "country": pa.array(country, pa.string()),
            # In no contract: columns like this one are never fetched.
            "comment": pa.array([f"comment {number} " * 5 for number in ids], pa.string()),
        }
    )
