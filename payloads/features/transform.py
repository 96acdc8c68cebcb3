"""From a checked row to what a model reads, the same for a billion rows in training and for one in serving.

The artifact holds contract, means and scales together. Whoever loads it cannot pair them with another version's, and a
request is checked by the rules that the training rows were checked by.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from payloads.data.scaler import Moments
from payloads.features.check import reasons
from payloads.features.contract import Column, Contract
from payloads.features.frame import empty_frame, numbers, vectors


@dataclass(frozen=True)
class Transform:
    """`mean` and `scale` are float64 of shape (scaled columns,), in the order of `scaled_names`."""

    contract: Contract
    mean: np.ndarray
    scale: np.ndarray

    @property
    def names(self) -> list[str]:
        """What each output stands for: standardised numbers first, then truth values and one for each declared text."""
        return [*scaled_names(self.contract), *_flag_names(self.contract)]

    def apply(self, table: pa.Table) -> np.ndarray:
        """Features of checked rows in the contract's types: float32 of shape (rows, len(names)).

        A missing number becomes 0, the standardised mean.
        """
        out = np.empty((table.num_rows, len(self.names)), np.float32)
        start = 0
        for column in _scaled(self.contract):
            width = column.size or 1
            part = slice(start, start + width)
            # In float64 up to here: standardising a time stamp in float32 would leave nothing of it.
            values = (_matrix(column, table[column.name]) - self.mean[part]) / self.scale[part]
            np.nan_to_num(values, copy=False, nan=0.0)
            out[:, part] = values
            start += width
        for column in _flags(self.contract):
            values = table[column.name]
            if column.type == "boolean":
                out[:, start] = values.cast(pa.uint8()).to_numpy()
                start += 1
                continue
            for value in column.values:
                out[:, start] = pc.equal(values, value).cast(pa.uint8()).to_numpy()
                start += 1
        return out

    def apply_rows(self, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Features of rows as a request brings them: column name -> value, neither id nor label needed.

        Raises ValueError with the columns and the rules that the first bad row breaks.
        """
        columns = {column.name: [row.get(column.name) for row in rows] for column in self.contract.features}
        schema = empty_frame(self.contract).select(list(columns)).schema
        try:
            table = pa.table(columns, schema=schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ValueError(f"a value is not of its column's type: {error}") from None
        wanted = self.contract.model_copy(update={"columns": self.contract.features})
        found = reasons(table, wanted)
        if found:
            first = int(np.logical_or.reduce(list(found.values())).argmax())
            broken = "; ".join(reason for reason, mask in found.items() if mask[first])
            raise ValueError(f"row {first}: {broken}")
        return self.apply(table)

    def to_json(self) -> str:
        return json.dumps(
            {
                "contract": self.contract.model_dump(mode="json"),
                "names": self.names,
                "mean": self.mean.tolist(),
                "scale": self.scale.tolist(),
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Transform:
        parts = json.loads(text)
        return cls(
            contract=Contract.model_validate(parts["contract"]),
            mean=np.asarray(parts["mean"], np.float64),
            scale=np.asarray(parts["scale"], np.float64),
        )


def fit(contract: Contract, moments: Moments) -> Transform:
    """The transform of the rows behind `moments`; what never varies, or was never there, is divided by 1."""
    count = np.maximum(moments.count, 1)
    deviation = np.sqrt(moments.squares / count)
    return Transform(contract, mean=moments.mean, scale=np.where(deviation > 0, deviation, 1.0))


def moments(contract: Contract, table: pa.Table) -> Moments:
    """Moments of the columns that are standardised; `count` is a vector, as missing numbers do not count."""
    blocks = [_matrix(column, table[column.name]) for column in _scaled(contract)]
    if not blocks:
        return Moments(np.zeros(0), np.zeros(0), np.zeros(0))
    means, squares, counts = [], [], []
    for block in blocks:
        there = ~np.isnan(block)
        count = there.sum(axis=0).astype(np.float64)
        mean = np.where(there, block, 0).sum(axis=0) / np.maximum(count, 1)
        counts.append(count)
        means.append(mean)
        squares.append((np.where(there, block - mean, 0) ** 2).sum(axis=0))
    return Moments(np.concatenate(counts), np.concatenate(means), np.concatenate(squares))


def scaled_names(contract: Contract) -> list[str]:
    """Names of the standardised outputs: `age`, `feature_vec[0]`."""
    return [
        name
        for column in _scaled(contract)
        for name in ([f"{column.name}[{index}]" for index in range(column.size)] if column.size else [column.name])
    ]


def _flag_names(contract: Contract) -> list[str]:
    return [
        name
        for column in _flags(contract)
        for name in ([f"{column.name}={value}" for value in column.values] or [column.name])
    ]


def _scaled(contract: Contract) -> list[Column]:
    return [column for column in contract.features if column.type in ("integer", "number", "vector")]


def _flags(contract: Contract) -> list[Column]:
    return [column for column in contract.features if column.type in ("boolean", "text")]


def _matrix(column: Column, values: pa.ChunkedArray) -> np.ndarray:
    return vectors(values, column.size) if column.size else numbers(values)[:, None]
