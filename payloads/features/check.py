"""Which rows break the contract, and how.

Works on whole columns. The text of a reason names the column and the rule and never the value: quarantine reports are
read by more people than the data is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from payloads.features.contract import Column, Contract
from payloads.features.frame import numbers, vectors


def reasons(table: pa.Table, contract: Contract) -> dict[str, np.ndarray]:
    """Reason -> boolean mask of the rows that it holds for; reasons that hold for no row are left out.

    A row has at most one reason a column, and may have several columns' reasons.
    """
    found: dict[str, np.ndarray] = {}
    for column in contract.columns:
        rows = _vector_faults if column.type == "vector" else _faults
        for fault, mask in rows(column, table[column.name]):
            if mask.any():
                found[f"{column.name}: {fault}"] = mask
    return found


def _faults(column: Column, values: pa.ChunkedArray) -> Iterator[tuple[str, np.ndarray]]:
    if column.type in ("integer", "number"):
        yield from _number_faults(column, numbers(values))
        return
    missing = pc.is_null(values).to_numpy()
    yield "missing", missing
    if column.values:
        known = pc.is_in(values, value_set=pa.array(column.values)).to_numpy()
        yield "not one of the declared values", ~known & ~missing


def _number_faults(column: Column, values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    # Writers of float columns say NaN where they mean that there is none.
    missing = np.isnan(values)
    if not column.nullable:
        yield "missing", missing
    infinite = np.isinf(values)
    yield "not finite", infinite
    yield from _range_faults(column, values, missing | infinite)


def _vector_faults(column: Column, values: pa.ChunkedArray) -> Iterator[tuple[str, np.ndarray]]:
    size = column.size or 0
    lengths = pc.fill_null(pc.list_value_length(values), -1).to_numpy()
    wrong = lengths != size
    yield f"not a vector of {size} numbers", wrong
    matrix = np.zeros((len(values), size))
    matrix[~wrong] = vectors(values.filter(pa.array(~wrong)), size)
    unusable = ~np.isfinite(matrix).all(axis=1)
    yield "not finite", unusable
    for fault, mask in _range_faults(column, matrix, ~np.isfinite(matrix) | wrong[:, None]):
        yield fault, mask.any(axis=1) & ~unusable


def _range_faults(column: Column, values: np.ndarray, ignored: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    if column.minimum is not None:
        yield f"below {column.minimum:g}", (values < column.minimum) & ~ignored
    if column.maximum is not None:
        yield f"above {column.maximum:g}", (values > column.maximum) & ~ignored
