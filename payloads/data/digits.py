"""Handwritten digits (scikit-learn's bundled 1,797 images of 8 x 8) as Parquet on object storage.

The folder is named by the content's fingerprint and its manifest is written last, so a reader that asks for a
manifest never meets half a data set, two writers at once write the same bytes, and a writer that was killed is
simply repeated.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from payloads.common.errors import PayloadError
from payloads.common.storage import Storage

NAME = "digits"
PIXELS = 64
# An intensity is the count of set bits in a 4 x 4 block of the original scan.
INTENSITY_MAX = 16.0
# More than one file, so that Ray Data can read in parallel.
FILES = 4


@dataclass(frozen=True)
class Manifest:
    """What a data set folder holds. `files` maps a file's path under the storage root to its size in bytes."""

    name: str
    fingerprint: str
    rows: int
    classes: tuple[str, ...]
    files: dict[str, int]


def build_table() -> pa.Table:
    """Columns: id int64 (position in the source), pixels list of 64 float32 in 0..16, label string."""
    from sklearn.datasets import load_digits

    source = load_digits()
    pixels = source.data.astype(np.float32)
    return pa.table(
        {
            "id": pa.array(np.arange(len(pixels), dtype=np.int64)),
            "pixels": pa.FixedSizeListArray.from_arrays(pa.array(pixels.ravel()), PIXELS),
            "label": pa.array([str(source.target_names[target]) for target in source.target], pa.string()),
        }
    )


def check_table(table: pa.Table) -> None:
    """Raise PayloadError if a row could not have come from a scan: training on it would succeed quietly."""
    pixels = pixel_matrix(table)
    if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > INTENSITY_MAX:
        raise PayloadError(f"data set {NAME}: a pixel is not a number between 0 and {INTENSITY_MAX:g}")
    if table["label"].null_count or table["id"].null_count:
        raise PayloadError(f"data set {NAME}: a row has no label or no id")
    if len(set(table["id"].to_pylist())) != table.num_rows:
        raise PayloadError(f"data set {NAME}: two rows have one id, so splits would overlap")


def pixel_matrix(table: pa.Table) -> np.ndarray:
    """Pixels as a float32 matrix of shape (rows, 64)."""
    return table["pixels"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, PIXELS)


def fingerprint(table: pa.Table) -> str:
    """sha256 over the values, not over Parquet bytes: those change with the writer's version."""
    digest = hashlib.sha256()
    digest.update(repr(table.schema.names).encode())
    digest.update(np.ascontiguousarray(table["id"].to_numpy()).tobytes())
    digest.update(np.ascontiguousarray(pixel_matrix(table)).tobytes())
    digest.update("\n".join(table["label"].to_pylist()).encode())
    return digest.hexdigest()


def ensure(storage: Storage) -> Manifest:
    """Return the data set's manifest, writing whatever is missing first. Safe to repeat and to run twice at once."""
    table = build_table()
    check_table(table)
    identity = fingerprint(table)
    folder = f"datasets/{NAME}/{identity[:16]}"
    found = storage.read_json(f"{folder}/manifest.json")
    if found is not None:
        manifest = Manifest(**{**found, "classes": tuple(found["classes"])})
        if _complete(storage, manifest):
            return manifest
    manifest = Manifest(
        name=NAME,
        fingerprint=identity,
        rows=table.num_rows,
        classes=tuple(sorted(set(table["label"].to_pylist()))),
        files=_write_files(storage, folder, table),
    )
    storage.write_json(f"{folder}/manifest.json", _as_json(manifest))
    return manifest


def _write_files(storage: Storage, folder: str, table: pa.Table) -> dict[str, int]:
    sizes: dict[str, int] = {}
    rows = -(-table.num_rows // FILES)
    for index in range(FILES):
        buffer = io.BytesIO()
        pq.write_table(table.slice(index * rows, rows), buffer)
        path = f"{folder}/part-{index:03d}.parquet"
        storage.write(path, buffer.getvalue())
        sizes[path] = buffer.getbuffer().nbytes
    return sizes


def _complete(storage: Storage, manifest: Manifest) -> bool:
    infos = storage.filesystem.get_file_info([storage.path(path) for path in manifest.files])
    return [info.size for info in infos] == list(manifest.files.values())


def _as_json(manifest: Manifest) -> dict[str, Any]:
    return asdict(manifest)
