"""The supervisor's lock: who holds it is the one truth about whether a cluster runs.

A POSIX record lock, because the kernel drops it with its process, however that ends, and tells the holder's process id
as the asker's PID namespace sees it: there is no pid file that could be stale.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

FILE = "supervisor.lock"  # in the folder `run`
_FLOCK = "hhqqi"  # struct flock on 64-bit Linux: type, whence, start, length, pid


def acquire(path: Path) -> int:
    """Take the lock and return its descriptor, which must stay open; BlockingIOError when another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise BlockingIOError(error.errno, f"{path} is locked") from None
        raise
    return descriptor


def holder(path: Path) -> int | None:
    """Process id of the holder, or None. Not for the holder itself: closing the file would drop its lock."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else pid
