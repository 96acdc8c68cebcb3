"""The training set: every label with its features as of its time, a file of labels at a time."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from payloads.common.errors import PayloadError
from payloads.common.receipts import Receipt, Receipts
from payloads.common.storage import Storage
from payloads.store.definitions import SERVICE
from payloads.store.offline import LABEL_TIME
from payloads.store.repository import open_store


@dataclass(frozen=True)
class Unit:
    """One file of labels: its path in the bucket, its size and when it was written."""

    number: int
    path: str
    identity: str


@dataclass(frozen=True)
class Join:
    """What a task needs to know of its run."""

    storage: Storage
    registry: str
    project: str
    folder: str
    as_known: bool

    @property
    def receipts(self) -> Receipts:
        return Receipts(self.storage, f"{self.folder}/_work")


def survey(storage: Storage, folder: str) -> list[Unit]:
    """The files of labels below `folder`, by name; raises PayloadError where there are none."""
    selector = pyarrow.fs.FileSelector(storage.path(folder), recursive=True, allow_not_found=True)
    infos = sorted(storage.filesystem.get_file_info(selector), key=lambda info: info.path)
    found = [info for info in infos if info.is_file and info.base_name.endswith(".parquet")]
    if not found:
        raise PayloadError(f"there are no labels (*.parquet) at {folder}: write them, or give --sample-days")
    return [
        Unit(number, info.path, f"{info.base_name} {info.size} {info.mtime_ns}") for number, info in enumerate(found)
    ]


def fingerprint(units: list[Unit]) -> str:
    return hashlib.sha256("\n".join(unit.identity for unit in units).encode()).hexdigest()[:16]


def join_file(job: Join, unit: Unit) -> Receipt:
    """Join one file and write it; the same file again overwrites itself."""
    store = open_store(job.registry, job.project)
    labels = pq.read_table(unit.path, filesystem=job.storage.filesystem)
    if LABEL_TIME not in labels.column_names:
        raise PayloadError(f"labels {unit.path} have no column {LABEL_TIME}: write the time of each label there")
    found: pa.Table = store.get_historical_features(
        entity_df=labels.to_pandas(),
        features=store.get_feature_service(SERVICE),
        filter_by_created_timestamp=job.as_known,
    ).to_arrow()
    name = f"part-{unit.number:05d}.parquet"
    buffer = io.BytesIO()
    pq.write_table(found, buffer)
    job.storage.write(f"{job.folder}/{name}", buffer.getvalue())
    features = [column for column in found.column_names if column not in labels.column_names]
    return job.receipts.leave(
        unit.number,
        {
            "file": name,
            "labels": unit.identity,
            "rows": len(found),
            "missing": {column: found[column].null_count for column in features},
            "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        },
    )


def summary(receipts: dict[int, Any]) -> dict[str, Any]:
    """Rows, and how many of them have no value of each feature."""
    missing: dict[str, int] = {}
    for receipt in receipts.values():
        for name, count in receipt["missing"].items():
            missing[name] = missing.get(name, 0) + count
    return {"rows": sum(receipt["rows"] for receipt in receipts.values()), "missing": missing}
