"""A folder as a tar layer that is written straight into a stream: nothing of its gigabytes is copied on disk first."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_BLOCK = tarfile.BLOCKSIZE
_END = 2 * _BLOCK  # a tar file ends with two empty blocks
_CHUNK = 4 << 20
# What nothing checks is of 1980, so that the same packages give the same digest: zip files know no earlier year.
EPOCH = 315532800


@dataclass(frozen=True)
class Entry:
    """One member: its header blocks, and the file (of `size` bytes) that follows them."""

    header: bytes
    source: Path | None
    size: int

    @property
    def length(self) -> int:
        """Bytes in the tar file, the padding included."""
        return len(self.header) + _padded(self.size)


@dataclass(frozen=True)
class Tree:
    """The plan of a layer; `size` is known before anything is read, because a tar header states it up front."""

    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        return sum(entry.length for entry in self.entries) + _END

    def chunks(self) -> Generator[bytes]:
        """The layer's bytes; raises OSError when a file vanished or changed its size since the plan was made."""
        for entry in self.entries:
            yield entry.header
            if entry.source is not None:
                yield from _content(entry.source, entry.size)
        yield bytes(_END)


def plan(root: Path, prefix: str, mounts: Mapping[str, Path]) -> Tree:
    """The layer that puts what is below `root` at `prefix` (`opt/venv`), all of it owned by root.

    `mounts` says where folders of the container lie on this machine: a link into one of them becomes the file itself.
    Modification times of linked sources are their own, since Python checks bytecode against them; others are EPOCH.
    """
    entries = [_folder(str(parent)) for parent in reversed(PurePosixPath(prefix).parents) if str(parent) != "."]
    entries.append(_folder(prefix))
    entries += _walk(root, prefix, mounts)
    return Tree(tuple(entries))


def _walk(folder: Path, name: str, mounts: Mapping[str, Path]) -> Generator[Entry]:
    with os.scandir(folder) as listing:
        children = sorted(listing, key=lambda child: child.name)
    for child in children:
        path, inner = Path(child.path), f"{name}/{child.name}"
        if child.is_symlink():
            yield _link(path, inner, mounts)
        elif child.is_dir():
            yield _folder(inner)
            yield from _walk(path, inner, mounts)
        else:
            yield _file(path, inner, keep_time=False)


def _link(path: Path, name: str, mounts: Mapping[str, Path]) -> Entry:
    target = str(path.readlink())
    for mounted, folder in mounts.items():
        if target.startswith(f"{mounted}/"):
            source = folder / target.removeprefix(f"{mounted}/")
            return _file(source, name, keep_time=name.endswith(".py"))
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode, entry.mtime = tarfile.SYMTYPE, target, 0o777, EPOCH
    return Entry(_header(entry), None, 0)


def _file(path: Path, name: str, *, keep_time: bool) -> Entry:
    status = path.stat()
    entry = tarfile.TarInfo(name)
    entry.size = status.st_size
    entry.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    entry.mtime = int(status.st_mtime) if keep_time else EPOCH
    return Entry(_header(entry), path, entry.size)


def _folder(name: str) -> Entry:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, EPOCH
    return Entry(_header(entry), None, 0)


def _header(entry: tarfile.TarInfo) -> bytes:
    return entry.tobuf(tarfile.PAX_FORMAT)


def _content(path: Path, size: int) -> Generator[bytes]:
    left = size
    with path.open("rb", buffering=0) as source:
        while left and (data := source.read(min(left, _CHUNK))):
            left -= len(data)
            yield data
    if left:
        raise OSError(f"{path} became shorter while it was read")
    yield bytes(_padded(size) - size)


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
