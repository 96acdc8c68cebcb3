"""Files that are whole or absent, and readable by root alone from their first byte on."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, content: str | bytes) -> bool:
    """Write `content` to `path` with mode 0600 by an atomic rename; false if it already held exactly that."""
    data = content.encode() if isinstance(content, str) else content
    if _holds(path, data):
        path.chmod(0o600)
        return False
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)  # a power cut must not leave an empty key that looks like ours
    part.rename(path)
    return True


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False
