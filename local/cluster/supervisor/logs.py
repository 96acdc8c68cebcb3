"""Log files that cannot fill the disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LIMIT_BYTES = 16 * 1024 * 1024


def open_log(folder: Path, name: str) -> int:
    """Descriptor to write to. Appending, so that the file may be cut while a process holds it open."""
    return os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def rotate(folder: Path) -> None:
    """Move what a log of more than LIMIT_BYTES holds to `NAME.log.1` (one generation) and cut it, file kept open."""
    for file in folder.glob("*.log"):
        if file.stat().st_size <= LIMIT_BYTES:
            continue
        old = file.with_suffix(".log.1")
        shutil.copyfile(file, old)
        old.chmod(0o600)
        os.truncate(file, 0)
