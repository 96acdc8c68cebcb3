"""The stages that Ray Data streams units through: read on any CPU, predict on actors with the model, write.

A unit stays one block from end to end. That is what makes the output exactly-once: its file is named by the unit, so a
unit that is done twice overwrites itself with the same bytes, and its receipt follows the file.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types
import ray

from payloads.common.receipts import Receipts
from payloads.common.settings import Platform
from payloads.common.storage import Storage
from payloads.data import parquet
from payloads.data.digits import INTENSITY_MAX, PIXELS
from payloads.data.parquet import Unit

COLUMNS = ["id", "pixels"]
ROW_BYTES = 8 + 4 * PIXELS
UNUSABLE = f"pixels are not {PIXELS} numbers between 0 and {INTENSITY_MAX:g}"


@dataclass(frozen=True)
class Job:
    """What every task of a run is told; all output lies below `folder`."""

    storage: Storage
    folder: str

    @property
    def receipts(self) -> Receipts:
        return Receipts(self.storage, f"{self.folder}/_work/receipts")


def misfit(schema: pa.Schema) -> str | None:
    """What makes a file unusable, in words; None if it has an integer id and lists of numbers as pixels."""
    for name, fits in (("id", types.is_integer), ("pixels", _is_list_of_numbers)):
        if len(schema.get_all_field_indices(name)) != 1:
            return f"has not one column {name}"
        if not fits(schema.field(name).type):
            return f"has column {name} as {schema.field(name).type}"
    return None


def as_item(unit: Unit) -> dict[str, str]:
    return {"unit": json.dumps(asdict(unit))}


def read(items: pa.Table, job: Job) -> pa.Table:
    """The rows of one unit: id, pixels as it found them, and the unit's number and size on each row."""
    (text,) = items["unit"].to_pylist()
    fields = json.loads(text)
    unit = Unit(**{**fields, "row_groups": tuple(fields["row_groups"])})
    table = parquet.read(job.storage, unit, COLUMNS)
    return pa.table(
        {
            "id": table["id"].cast(pa.int64()),
            "pixels": table["pixels"].cast(pa.list_(pa.float32()), safe=False),
            "unit": pa.array(np.full(unit.rows, unit.index)),
            "of": pa.array(np.full(unit.rows, unit.rows)),
        }
    )


class Predictor:
    """One actor: the model is loaded and used once before the first unit comes."""

    def __init__(self, platform: Platform, name: str, version: str, batch_rows: int) -> None:
        from payloads.serving import model

        device = model.claim_device(ray.get_runtime_context().get_assigned_resources())
        self.model = model.load_version(platform, name, version, device, batch_rows)
        self.batch_rows = batch_rows
        self.labels = np.array(self.model.card.classes, dtype=object)
        self.model.predict(np.zeros((batch_rows, PIXELS), np.float32))

    def __call__(self, table: pa.Table) -> pa.Table:
        """A row for each row: label and confidence, or the reason why there are none."""
        pixels, usable = checked(table["pixels"])
        labels = np.full(table.num_rows, None, dtype=object)
        confidences = np.zeros(table.num_rows, np.float32)
        for chosen in np.array_split(usable, range(self.batch_rows, len(usable), self.batch_rows)):
            if len(chosen):
                found = self.model.predict(pixels[chosen])
                labels[chosen] = self.labels[found.classes]
                confidences[chosen] = found.confidences
        spoilt = np.ones(table.num_rows, bool)
        spoilt[usable] = False
        return pa.table(
            {
                "id": table["id"],
                "label": pa.array(labels, pa.string()),
                "confidence": pa.array(confidences, mask=spoilt),
                "error": pa.array(np.where(spoilt, UNUSABLE, None), pa.string()),
                "unit": table["unit"],
                "of": table["of"],
            }
        )


def write(table: pa.Table, job: Job, model_version: str) -> dict[str, Any]:
    """Write one unit's answers, then its receipt.

    Raises RuntimeError if Ray Data has cut or joined units: half of one under its name would pass for all of it.
    """
    numbers, sizes = pc.unique(table["unit"]).to_pylist(), pc.unique(table["of"]).to_pylist()
    if len(numbers) != 1 or sizes != [table.num_rows]:
        raise RuntimeError(f"a block of {table.num_rows} rows is not one unit: units {numbers} of {sizes} rows")
    answers = table.select(["id", "label", "confidence", "error"]).append_column(
        "model_version", pa.array([model_version] * table.num_rows)
    )
    file = parquet.write(job.storage, f"{job.folder}/part-{numbers[0]:06d}.parquet", answers)
    labels = pc.value_counts(answers["label"].drop_null()).to_pylist()
    receipt = {
        "file": file,
        "errors": table.num_rows - table["error"].null_count,
        "labels": {entry["values"]: entry["counts"] for entry in labels},
    }
    job.receipts.leave(numbers[0], receipt)
    return {"unit": np.array([numbers[0]])}


def checked(pixels: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """All rows as float32 [rows, 64], and the positions of those that an image could be."""
    lengths = pc.fill_null(pc.list_value_length(pixels), -1).to_numpy()
    whole = np.flatnonzero(lengths == PIXELS)
    matrix = np.full((len(pixels), PIXELS), np.nan, np.float32)
    flat = [chunk.flatten() for chunk in pixels.take(pa.array(whole)).chunks]
    matrix[whole] = pa.chunked_array(flat, pa.float32()).to_numpy().reshape(-1, PIXELS)
    with np.errstate(invalid="ignore"):
        usable = ((matrix >= 0) & (matrix <= INTENSITY_MAX)).all(axis=1)
    return matrix, np.flatnonzero(usable)


def _is_list_of_numbers(there: pa.DataType) -> bool:
    lists = types.is_list(there) or types.is_large_list(there) or types.is_fixed_size_list(there)
    return lists and (types.is_integer(there.value_type) or types.is_floating(there.value_type))
