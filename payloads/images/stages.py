"""The two passes over the source, each of one unit at a time, which leaves its output and a receipt on storage.

decode: read, check, scale; broken images to quarantine. write: one file a split. A pass that was cut off goes on with
the units that have no receipt, and the result is the same to the last byte.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from payloads.common.receipts import Receipt, Receipts
from payloads.common.storage import Storage
from payloads.data import parquet, splits
from payloads.data.scaler import Moments
from payloads.images import decode as images
from payloads.images.source import File, Unit

SPLITS = (splits.TRAIN, splits.VALIDATION, splits.TEST)
QUARANTINE = "quarantine"
# Files of a unit under way at once: one waits for storage while another is decoded.
AT_ONCE = 8
# Rows of a row group: what an augmenting actor fetches at a time.
GROUP_ROWS = 64
GONE = "the file is gone"
UNLABELLED = "no class in its path"


@dataclass(frozen=True)
class Job:
    """What every task of a run is told; all output lies below `folder`."""

    storage: Storage
    folder: str
    form: images.Form
    max_bytes: int

    def receipts(self, name: str) -> Receipts:
        return Receipts(self.storage, f"{self.folder}/_work/{name}")

    def decoded(self, unit: Unit) -> str:
        return f"{self.folder}/_work/decoded/part-{unit.index:06d}.parquet"


class Decoder:
    """One actor of the first pass: takes units as text, leaves their images and receipts."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self, items: pa.Table) -> pa.Table:
        """A unit's number for each of `items` (column unit), once it is done."""
        units = [Unit.from_json(text) for text in items["unit"].to_pylist()]
        for unit in units:
            decode(self.job, unit)
        return pa.table({"unit": [unit.index for unit in units]})


def decode(job: Job, unit: Unit) -> Receipt:
    """Read and check the unit's files. No more than `AT_ONCE` of them are in memory as they were."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda file: _pixels(job, file), unit.files))
    good = [(file, pixels) for file, pixels in zip(unit.files, found, strict=True) if isinstance(pixels, np.ndarray)]
    bad = [(file, reason) for file, reason in zip(unit.files, found, strict=True) if isinstance(reason, str)]
    ids = [images.identity(pixels) for _, pixels in good]
    table = pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "pixels": pa.array([pixels.tobytes() for _, pixels in good], pa.binary(int(np.prod(job.form.shape)))),
            "label": pa.array([file.label for file, _ in good], pa.string()),
            "path": pa.array([file.path for file, _ in good], pa.string()),
            "size": pa.array([file.size for file, _ in good], pa.int64()),
        }
    )
    parquet.write(job.storage, job.decoded(unit), table)
    files = {}
    if bad:
        path = f"{job.folder}/{QUARANTINE}/part-{unit.index:06d}.parquet"
        files[QUARANTINE] = parquet.write(job.storage, path, quarantine(bad))
    receipt = {
        "images": len(unit.files),
        "ids": ids,
        "labels": [file.label for file, _ in good],
        "reasons": dict(sorted(Counter(reason for _, reason in bad).items())),
        "files": files,
    }
    return job.receipts("decode").leave(unit.index, receipt)


def write(job: Job, where: splits.Cuts, repeats: dict[int, dict[int, str]], unit: Unit) -> Receipt:
    """One file a split (id, pixels, path, target) and what the train images add to the statistics.

    `repeats` has, by unit and row, the reason why an image that could be decoded is left out all the same.
    """
    with job.storage.filesystem.open_input_file(job.storage.path(job.decoded(unit))) as stream:
        table = pq.read_table(stream)
    out = repeats.get(unit.index, {})
    files = {}
    if out:
        rows = zip(sorted(out), table.take(pa.array(sorted(out))).to_pylist(), strict=True)
        bad = [(File(row["path"], row["size"], 0, row["label"]), out[place]) for place, row in rows]
        path = f"{job.folder}/{QUARANTINE}/repeated-{unit.index:06d}.parquet"
        files[QUARANTINE] = parquet.write(job.storage, path, quarantine(bad))
        table = table.take(pa.array([row for row in range(table.num_rows) if row not in out], pa.int64()))
    targets = np.searchsorted(np.asarray(where.classes), np.asarray(table["label"].to_pylist(), str)).astype(np.int64)
    part = splits.assign(table["id"].to_numpy(), targets, where)
    ready = (
        table.select(["id", "pixels"]).append_column("target", pa.array(targets)).append_column("path", table["path"])
    )
    for name in SPLITS:
        chosen = np.flatnonzero(part == name)
        if len(chosen):
            path = f"{job.folder}/{name}/part-{unit.index:06d}.parquet"
            files[name] = parquet.write(job.storage, path, ready.take(pa.array(chosen)), GROUP_ROWS)
    moments = of_channels(pixels_of(ready.filter(pa.array(part == splits.TRAIN)), job.form.shape))
    return job.receipts("write").leave(
        unit.index,
        {
            "files": files,
            "count": int(moments.count),
            "mean": moments.mean.tolist(),
            "squares": moments.squares.tolist(),
        },
    )


def pixels_of(table: pa.Table, shape: tuple[int, ...]) -> np.ndarray:
    """Column pixels as uint8 of shape (rows, channels, height, width)."""
    return np.frombuffer(b"".join(table["pixels"].to_pylist()), np.uint8).reshape(-1, *shape)


def of_channels(pixels: np.ndarray) -> Moments:
    """Moments of each channel over all pixels of (rows, channels, height, width), in 0..1."""
    channels = pixels.shape[1]
    total = Moments(0, np.zeros(channels), np.zeros(channels))
    # In parts, because the arithmetic takes many times the memory of the pixels.
    for first in range(0, len(pixels), GROUP_ROWS):
        part = pixels[first : first + GROUP_ROWS].swapaxes(0, 1).reshape(channels, -1).T
        total = total.merge(Moments.of(part / 255))
    return total


def quarantine(bad: list[tuple[File, str]]) -> pa.Table:
    """Columns path, label, bytes, reason; the files themselves stay where they are."""
    return pa.table(
        {
            "path": pa.array([file.path for file, _ in bad], pa.string()),
            "label": pa.array([file.label for file, _ in bad], pa.string()),
            "bytes": pa.array([file.size for file, _ in bad], pa.int64()),
            "reason": pa.array([reason for _, reason in bad], pa.string()),
        }
    )


def _pixels(job: Job, file: File) -> np.ndarray | str:
    if file.label is None:
        return UNLABELLED
    if file.size > job.max_bytes:
        return f"more than {job.max_bytes // 2**20} MiB"
    content = job.storage.read(file.path)
    if content is None:
        return GONE
    try:
        return images.decode(content, job.form)
    except images.BrokenImage as broken:
        return str(broken)
