"""Parquet on object storage: a source's files, the units of work that they are cut into, and files of our own."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from payloads.common.errors import PayloadError
from payloads.common.storage import Storage, first_line

# Footers are small; it is their round trips that take time.
FOOTERS_AT_ONCE = 16
# What in a file's schema makes it unusable, in words; None if nothing does.
Judge = Callable[[pa.Schema], str | None]


@dataclass(frozen=True)
class SourceFile:
    """`row_groups` are the groups' rows. `stamp` is the time of writing, in nanoseconds."""

    path: str
    size: int
    stamp: int
    row_groups: tuple[int, ...]


@dataclass(frozen=True)
class Unit:
    """Row groups of one file that one task reads at once. `first_row` is the file's row that its first row is."""

    index: int
    path: str
    row_groups: tuple[int, ...]
    first_row: int
    rows: int


@dataclass(frozen=True)
class Source:
    """`refused` maps files that cannot be used to the reason; paths are relative to the storage root."""

    files: tuple[SourceFile, ...]
    refused: dict[str, str]

    @property
    def rows(self) -> int:
        return sum(rows for file in self.files for rows in file.row_groups)

    @property
    def fingerprint(self) -> str:
        """sha256 of the files' names, sizes and times of writing: content is not read for it."""
        lines = [f"{file.path} {file.size} {file.stamp}" for file in self.files]
        return hashlib.sha256("\n".join([*lines, *sorted(self.refused)]).encode()).hexdigest()


def survey(storage: Storage, folder: str, misfit: Judge) -> Source:
    """All Parquet files below `folder`, their footers read and their schemas judged.

    Raises PayloadError if there is no such folder, no Parquet file in it, or none that can be used.
    """
    selector = pyarrow.fs.FileSelector(storage.path(folder), recursive=True, allow_not_found=True)
    infos = sorted(
        (info for info in storage.filesystem.get_file_info(selector) if info.path.endswith(".parquet")),
        key=lambda info: info.path,
    )
    if not infos:
        raise PayloadError(f"source {storage.path(folder)} holds no Parquet file: correct --source or write some there")
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        found = list(pool.map(lambda info: _file(storage, info, misfit), infos))
    files = tuple(file for file in found if isinstance(file, SourceFile))
    refused = dict(file for file in found if isinstance(file, tuple))
    if not files:
        name, reason = next(iter(refused.items()))
        raise PayloadError(f"source {storage.path(folder)} has no usable file: {name} {reason}")
    return Source(files, refused)


def units(source: Source, largest_rows: int) -> list[Unit]:
    """Neighbouring row groups of a file together, up to `largest_rows`; a row group is never cut."""
    planned: list[Unit] = []
    for file in source.files:
        groups: list[int] = []
        rows = first = 0
        for number, group_rows in enumerate(file.row_groups):
            if groups and rows + group_rows > largest_rows:
                planned.append(Unit(len(planned), file.path, tuple(groups), first, rows))
                first, groups, rows = first + rows, [], 0
            groups.append(number)
            rows += group_rows
        if rows:
            planned.append(Unit(len(planned), file.path, tuple(groups), first, rows))
    return planned


def read(storage: Storage, unit: Unit, columns: list[str]) -> pa.Table:
    """The unit's rows, these columns alone."""
    with storage.filesystem.open_input_file(storage.path(unit.path)) as stream:
        file = pq.ParquetFile(stream, pre_buffer=True)
        return file.read_row_groups(list(unit.row_groups), columns=columns, use_threads=False)


def write(storage: Storage, path: str, table: pa.Table, group_rows: int | None = None) -> dict[str, Any]:
    """Write `table` through memory, as one PUT: a stream that is cut off would leave a file that looks finished.

    Row groups have `group_rows` rows, by default as many as there are. Returns path, rows, bytes and sha256; equal
    tables give equal bytes.
    """
    buffer = io.BytesIO()
    # Floats that vary do not repeat: a dictionary of them costs time and saves nothing.
    pq.write_table(table, buffer, use_dictionary=False, compression="snappy", row_group_size=group_rows)
    content = buffer.getvalue()
    storage.write(path, content)
    digest = hashlib.sha256(content).hexdigest()
    return {"path": path, "rows": table.num_rows, "bytes": len(content), "sha256": digest}


def _file(storage: Storage, info: pyarrow.fs.FileInfo, misfit: Judge) -> SourceFile | tuple[str, str]:
    name = info.path.removeprefix(storage.root).lstrip("/")
    if not info.size:
        return name, "is empty"
    try:
        with storage.filesystem.open_input_file(info.path) as stream:
            file = pq.ParquetFile(stream)
            metadata, schema = file.metadata, file.schema_arrow
    except pa.ArrowInvalid as error:
        return name, f"is not a whole Parquet file ({first_line(error)})"
    reason = misfit(schema)
    if reason is not None:
        return name, reason
    groups = tuple(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
    return SourceFile(name, info.size, info.mtime_ns, groups)
