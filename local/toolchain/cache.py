"""Folders of built files that appear whole or not at all, and that notice when they were damaged."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

MANIFEST = "manifest.json"
_SCRATCH_PREFIX = ".scratch-"
_UNUSED_SECONDS = 30 * 24 * 3600


class FileRecord(BaseModel):
    """What a file was when its entry was published; of a symbolic link only the `target` is recorded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = 0
    mtime_ns: int = 0
    sha256: str = ""
    target: str | None = None


_Manifest = TypeAdapter(dict[str, FileRecord])


def is_whole(entry: Path) -> bool:
    """Whether the entry holds every file as it was published.

    A file's content is read again only when its time of change differs, so the usual answer takes a millisecond.
    """
    try:
        records = _Manifest.validate_json((entry / MANIFEST).read_bytes())
        return bool(records) and all(_is_unchanged(entry / name, record) for name, record in records.items())
    except (OSError, ValidationError):
        return False


def publish(scratch: Path, entry: Path) -> None:
    """Make the finished folder `scratch` the entry, replacing a damaged one; safe against a power cut at any point."""
    records = {str(path.relative_to(scratch)): _record(path) for path in _files(scratch)}
    text = json.dumps({name: record.model_dump(exclude_defaults=True) for name, record in records.items()}, indent=1)
    _write_through(scratch / MANIFEST, text.encode())
    _sync(scratch)
    if entry.exists():
        entry.rename(Path(tempfile.mkdtemp(prefix=_SCRATCH_PREFIX, dir=entry.parent)) / "damaged")
    scratch.rename(entry)
    _sync(entry.parent)


@contextmanager
def scratch_folder(root: Path) -> Generator[Path]:
    """A folder on the same filesystem as the entries, gone afterwards whatever happens."""
    path = Path(tempfile.mkdtemp(prefix=_SCRATCH_PREFIX, dir=root))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def sweep(root: Path, keep: Path) -> None:
    """Delete what killed builds left behind, and entries that nobody used for a month. Call it under the lock."""
    os.utime(keep)
    now = time.time()
    for path in root.iterdir():
        if not path.is_dir() or path == keep:
            continue
        if path.name.startswith(_SCRATCH_PREFIX) or now - path.stat().st_mtime > _UNUSED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())


def _record(path: Path) -> FileRecord:
    if path.is_symlink():
        return FileRecord(target=str(path.readlink()))
    _sync(path)
    status = path.stat()
    return FileRecord(size=status.st_size, mtime_ns=status.st_mtime_ns, sha256=_sha256(path))


def _is_unchanged(path: Path, record: FileRecord) -> bool:
    if record.target is not None:
        return path.is_symlink() and str(path.readlink()) == record.target
    status = path.stat()
    if status.st_size != record.size:
        return False
    return status.st_mtime_ns == record.mtime_ns or _sha256(path) == record.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_through(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    _sync(path)


def _sync(path: Path) -> None:
    """Wait until the file or folder is on the disk: a rename may reach it before the content does."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
