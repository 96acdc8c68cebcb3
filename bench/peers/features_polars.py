"""The same work by polars' streaming engine: `features_polars.py SOURCE OUT`. Prints its seconds.

Checks of every column, the filter, the split by a hash, the train rows' statistics, standardised and one-hot columns,
one Parquet file per split and one of the rows that failed.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import polars as pl

INTEGERS = ("age", "sessions", "purchases", "tenure_days", "errors")
NUMBERS = ("minutes", "pages", "searches", "spend", "refunds", "latency_ms")
UPPER = {"age": 120, "minutes": 10080, "rating": 5}
LABELS, PLANS = ("negative", "neutral", "positive"), ("free", "plus", "team")
SIZE = 8


def good() -> pl.Expr:
    """Whether a row keeps the contract."""
    checks = [pl.col("label").is_in(LABELS).fill_null(False), pl.col("plan").is_in(PLANS).fill_null(False)]
    checks += [pl.col(name).is_not_null() for name in ("row_id", "newsletter", "country")]
    for name in (*INTEGERS, *NUMBERS):
        value = pl.col(name).cast(pl.Float64)
        checks.append((value.is_finite() & (value >= 0)).fill_null(False))
    for name, most in UPPER.items():
        checks.append((pl.col(name) <= most).fill_null(name == "rating"))
    checks.append((pl.col("rating").is_nan() | (pl.col("rating") >= 1)).fill_null(True))
    vector = pl.col("feature_vec")
    within = vector.list.eval(pl.element().is_finite() & (pl.element().abs() <= 100)).list.all()
    checks.append(((vector.list.len() == SIZE) & within).fill_null(False))
    return pl.all_horizontal(checks)


def main(source: Path, out: Path) -> None:
    out.mkdir(parents=True)
    started = time.monotonic()
    rows = pl.scan_parquet(source / "*.parquet").with_columns(good=good())
    rows.filter(~pl.col("good")).sink_parquet(out / "quarantine.parquet")
    kept = rows.filter(pl.col("good") & (pl.col("country") != "test") & (pl.col("tenure_days") >= 1))
    vector = [pl.col("feature_vec").list.get(index).alias(f"feature_vec_{index}") for index in range(SIZE)]
    split = pl.col("row_id").hash(42).cast(pl.Float64) / 2.0**64
    kept = kept.with_columns(*vector, split=split)
    scaled = [*INTEGERS, *NUMBERS, "rating", *(f"feature_vec_{index}" for index in range(SIZE))]
    train = kept.filter(pl.col("split") >= 0.2).select(pl.col(scaled).cast(pl.Float64))
    moments = train.select(
        *(pl.col(name).mean().alias(f"{name}:mean") for name in scaled),
        *(pl.col(name).std(ddof=0).alias(f"{name}:std") for name in scaled),
    ).collect(engine="streaming").row(0, named=True)  # fmt: skip
    columns = [
        pl.col("row_id"),
        *(
            ((pl.col(name).cast(pl.Float64) - moments[f"{name}:mean"]) / moments[f"{name}:std"])
            .fill_null(0).fill_nan(0).cast(pl.Float32)
            for name in scaled
        ),
        pl.col("newsletter").cast(pl.Float32),
        *((pl.col("plan") == plan).cast(pl.Float32).alias(f"plan_{plan}") for plan in PLANS),
        pl.col("label").replace_strict(LABELS, range(len(LABELS)), return_dtype=pl.Int64).alias("target"),
    ]  # fmt: skip
    parts = {"test": (0.0, 0.1), "validation": (0.1, 0.2), "train": (0.2, 1.1)}
    for name, (low, high) in parts.items():
        part = kept.filter((pl.col("split") >= low) & (pl.col("split") < high)).select(columns)
        part.sink_parquet(out / f"{name}.parquet", compression="snappy")
    ended = time.monotonic()
    rows_out = sum(pl.scan_parquet(out / f"{name}.parquet").select(pl.len()).collect().item() for name in parts)
    print(json.dumps({"seconds": ended - started, "rows": rows_out}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
