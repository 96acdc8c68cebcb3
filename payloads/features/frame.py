"""A table in the contract's own types: what every later step works on, whatever a file's writer chose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.types as types

if TYPE_CHECKING:
    from payloads.features.contract import Column, Contract

_TYPES = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_(), "text": pa.string()}


def arrow_type(column: Column) -> pa.DataType:
    """The one Arrow type that a column has after `conform`."""
    return pa.list_(pa.float64()) if column.type == "vector" else _TYPES[column.type]


def empty_frame(contract: Contract) -> pa.Table:
    return pa.schema([(column.name, arrow_type(column)) for column in contract.columns]).empty_table()


def row_bytes(contract: Contract) -> int:
    """About what a row takes in memory: 8 bytes a number, 16 a text."""
    return sum(16 if column.type == "text" else 8 * (column.size or 1) for column in contract.columns)


def misfit(schema: pa.Schema, contract: Contract) -> str | None:
    """What in a file's schema contradicts the contract, in words; None if every column can be read as declared."""
    for column in contract.columns:
        if len(found := schema.get_all_field_indices(column.name)) != 1:
            return f"has {'no' if not found else 'more than one'} column {column.name}"
        there = schema.field(column.name).type
        if not _readable(there, column):
            return f"has column {column.name} as {there}, and the contract says {column.type}"
    return None


def conform(table: pa.Table, contract: Contract) -> pa.Table:
    """The contract's columns, in its order and types; `misfit` has been asked before.

    Types are only widened. One value in nine quadrillion changes: an integer beyond 2**53 that is declared a number.
    """
    return pa.table(
        {column.name: table[column.name].cast(arrow_type(column), safe=False) for column in contract.columns}
    )


def numbers(values: pa.ChunkedArray) -> np.ndarray:
    """A column as float64, a missing value as NaN."""
    return values.cast(pa.float64(), safe=False).to_numpy()


def vectors(values: pa.ChunkedArray, size: int) -> np.ndarray:
    """A column of vectors, all of which have `size` elements, as a float64 matrix (rows, size)."""
    return numbers(pa.chunked_array([chunk.flatten() for chunk in values.chunks], pa.float64())).reshape(-1, size)


def _readable(there: pa.DataType, column: Column) -> bool:
    if types.is_dictionary(there):
        there = there.value_type
    if column.type == "vector":
        lists = types.is_list(there) or types.is_large_list(there) or types.is_fixed_size_list(there)
        return lists and _number(there.value_type)
    if column.type == "integer":
        return types.is_integer(there) and there != pa.uint64()
    if column.type == "number":
        return _number(there)
    if column.type == "boolean":
        return types.is_boolean(there)
    return types.is_string(there) or types.is_large_string(there)


def _number(there: pa.DataType) -> bool:
    return types.is_integer(there) or types.is_floating(there)
