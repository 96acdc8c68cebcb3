"""The three passes over the source, each a function of one unit that leaves its output and a receipt on storage.

scan: which rows are bad, and how many of each class there are. measure: moments of the train rows. write: features.
A pass that was cut off goes on with the units that have no receipt, and the result is the same to the last byte.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from payloads.common.receipts import Receipt, Receipts
from payloads.common.storage import Storage
from payloads.data import parquet, splits
from payloads.data.parquet import Unit
from payloads.features import check, cuts, transform
from payloads.features.contract import Contract
from payloads.features.frame import conform

SPLITS = (splits.TRAIN, splits.VALIDATION, splits.TEST)


@dataclass(frozen=True)
class Job:
    """What every task of a run is told; all output lies below `folder`."""

    storage: Storage
    contract: Contract
    folder: str
    seed: int

    def receipts(self, stage: str) -> Receipts:
        return Receipts(self.storage, f"{self.folder}/_work/{stage}")


@dataclass(frozen=True)
class Rows:
    """A unit's rows after checks and filter. `codes` are positions in the contract's classes."""

    table: pa.Table
    draws: np.ndarray
    codes: np.ndarray
    bad: pa.Table
    reasons: dict[str, int]
    filtered: int


def scan(job: Job, unit: Unit) -> Receipt:
    """Check the unit's rows, write the bad ones to quarantine and count the others."""
    rows = load(job, unit)
    files = {}
    if rows.bad.num_rows:
        path = f"{job.folder}/quarantine/part-{unit.index:06d}.parquet"
        files["quarantine"] = parquet.write(job.storage, path, rows.bad)
    counts = cuts.histogram(rows.draws, rows.codes, len(job.contract.classes))
    cells = np.flatnonzero(counts)
    return _leave(
        job,
        "scan",
        unit,
        {
            "rows": unit.rows,
            "quarantined": rows.bad.num_rows,
            "reasons": rows.reasons,
            "filtered": rows.filtered,
            "kept": rows.table.num_rows,
            "cells": cells.tolist(),
            "counts": counts.ravel()[cells].tolist(),
            "files": files,
        },
    )


def measure(job: Job, where: splits.Cuts, unit: Unit) -> Receipt:
    """Moments of the unit's train rows: validation and test rows leave no trace in the statistics."""
    rows = load(job, unit)
    train = splits.assign(rows.table[job.contract.id.name].to_numpy(), rows.codes, where) == splits.TRAIN
    found = transform.moments(job.contract, rows.table.filter(pa.array(train)))
    return _leave(
        job,
        "measure",
        unit,
        {
            "count": np.asarray(found.count).tolist(),
            "mean": found.mean.tolist(),
            "squares": found.squares.tolist(),
        },
    )


def write(job: Job, where: splits.Cuts, features: transform.Transform, unit: Unit) -> Receipt:
    """One file a split: id int64, features float32[n], target int64."""
    rows = load(job, unit)
    ids = rows.table[job.contract.id.name].to_numpy()
    part = splits.assign(ids, rows.codes, where)
    matrix = features.apply(rows.table)
    files = {}
    for name in SPLITS:
        chosen = np.flatnonzero(part == name)
        if len(chosen):
            path = f"{job.folder}/{name}/part-{unit.index:06d}.parquet"
            files[name] = parquet.write(job.storage, path, _output(ids[chosen], matrix[chosen], rows.codes[chosen]))
    return _leave(job, "write", unit, {"files": files})


def load(job: Job, unit: Unit) -> Rows:
    """Read the contract's columns of a unit and set apart what breaks the contract and what is filtered out."""
    contract = job.contract
    table = conform(parquet.read(job.storage, unit, contract.names), contract)
    found = check.reasons(table, contract)
    bad = np.logical_or.reduce(list(found.values())) if found else np.zeros(table.num_rows, bool)
    good = table.filter(pa.array(~bad)) if found else table
    kept = good
    if contract.keep is not None:
        from payloads.features.expression import evaluate

        kept = good.filter(evaluate(contract.keep, good))
    codes = pc.index_in(kept[contract.label.name], value_set=pa.array(contract.classes))
    return Rows(
        table=kept,
        draws=splits.draw(kept[contract.id.name].to_numpy(), job.seed),
        codes=codes.to_numpy().astype(np.int64),
        bad=_quarantine(table, unit, found, np.flatnonzero(bad)),
        reasons={reason: int(mask.sum()) for reason, mask in found.items()},
        filtered=good.num_rows - kept.num_rows,
    )


def _quarantine(table: pa.Table, unit: Unit, found: dict[str, np.ndarray], rows: np.ndarray) -> pa.Table:
    """The bad rows as they were, with file and row number that they came from and all their reasons."""
    reasons = ["; ".join(reason for reason, mask in found.items() if mask[row]) for row in rows]
    return (
        table.take(pa.array(rows))
        .append_column("reason", pa.array(reasons, pa.string()))
        .append_column("source_file", pa.array([unit.path] * len(rows), pa.string()))
        .append_column("source_row", pa.array(rows + unit.first_row, pa.int64()))
    )


def _output(ids: np.ndarray, matrix: np.ndarray, targets: np.ndarray) -> pa.Table:
    features = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(matrix).ravel()), matrix.shape[1])
    return pa.table({"id": pa.array(ids), "features": features, "target": pa.array(targets)})


def _leave(job: Job, stage: str, unit: Unit, receipt: Receipt) -> Receipt:
    return job.receipts(stage).leave(unit.index, receipt)
