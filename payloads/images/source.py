"""Image files below a folder, their classes by partition, and the units of work that they are cut into."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow.fs
from ray.data.datasource.partitioning import Partitioning, PartitionStyle, PathPartitionParser

from payloads.common.errors import PayloadError
from payloads.common.storage import Storage


@dataclass(frozen=True)
class File:
    """One file: path below the storage root, bytes, time of writing in nanoseconds, class or None where its path names
    none."""

    path: str
    size: int
    stamp: int
    label: str | None


@dataclass(frozen=True)
class Unit:
    """Files that one actor takes at a time, and that come out as one file a split."""

    index: int
    files: tuple[File, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Unit:
        fields = json.loads(text)
        return cls(fields["index"], tuple(File(**file) for file in fields["files"]))


def survey(storage: Storage, folder: str, label_key: str) -> tuple[File, ...]:
    """Every file below `folder`, by path; names that begin with `_` or `.` are notes of writers and no data.

    Raises PayloadError if there is no file, or none below a partition `label_key=...`.
    """
    selector = pyarrow.fs.FileSelector(storage.path(folder), recursive=True, allow_not_found=True)
    where = storage.path(folder)
    label_of = PathPartitionParser(Partitioning(PartitionStyle.HIVE, base_dir=where, filesystem=storage.filesystem))
    files = tuple(
        File(
            path=info.path.removeprefix(storage.root).lstrip("/"),
            size=info.size,
            stamp=info.mtime_ns,
            label=label_of(info.path).get(label_key) or None,
        )
        for info in sorted(storage.filesystem.get_file_info(selector), key=lambda info: info.path)
        if info.is_file and not info.base_name.startswith(("_", "."))
    )
    if not files:
        raise PayloadError(f"source {where} holds no image: correct --source or write some there")
    if not any(file.label for file in files):
        raise PayloadError(
            f"source {where} has no image below a folder {label_key}=...: sort the images by class or set --label-key"
        )
    return files


def fingerprint(files: Iterable[File]) -> str:
    """sha256 of the files' names, sizes and times of writing: content is not read for it."""
    lines = [f"{file.path} {file.size} {file.stamp}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def units(files: tuple[File, ...], largest: int) -> list[Unit]:
    """Files in an order that mixes the classes, cut into units of as equal a size as can be, `largest` at most.

    Paths are sorted by class: units along them would hold one class each, and so would the batches read from them.
    """
    mixed = sorted(files, key=lambda file: hashlib.sha256(file.path.encode()).digest())
    cuts = np.array_split(np.arange(len(mixed)), -(-len(mixed) // largest))
    return [Unit(number, tuple(mixed[place] for place in places)) for number, places in enumerate(cuts)]
