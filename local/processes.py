"""Child processes whose output is read line by line, and which never outlive the command that started them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# What a compiler, a package manager or an image builder gets to stop its own children and delete its scratch files.
_GRACE_SECONDS = 10.0
_KEPT_LINES = 200

_running: set[subprocess.Popen[str]] = set()
_lock = threading.Lock()
_stopping = threading.Event()


class Stopped(KeyboardInterrupt):
    """The child was ended by `stop_all`: to the thread that waited for it the same as Ctrl-C."""


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit status (negative: the signal) and its last lines of output, both streams together."""

    status: int
    lines: tuple[str, ...]

    @property
    def output(self) -> str:
        return "\n".join(self.lines)


def end_in_order() -> None:
    """Have SIGTERM (a cancelled job) and SIGHUP (a closed terminal) do what Ctrl-C does, unless they are ignored."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def bound(command: Sequence[str]) -> list[str]:
    """`command`, which the kernel interrupts if the thread that starts it is killed (setpriv, of util-linux)."""
    return ["setpriv", "--pdeathsig", "INT", "--", *command]


def stream(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
    keep: int = _KEPT_LINES,
) -> Ended:
    """Run `command` to its end, handing every line to `on_line`; keeps the last `keep` lines.

    The child leads a process group of its own, so that Ctrl-C reaches it once, through us, and `stop_all` can end it
    with all of its children. If we are killed, the kernel interrupts the child.
    Raises Stopped after `stop_all`, and FileNotFoundError for a program that does not exist.
    """
    process = _start(bound(command), cwd, environment)
    lines: deque[str] = deque(maxlen=keep)
    assert process.stdout is not None  # noqa: S101 - it is a pipe, by construction
    try:
        with process.stdout as output:
            for line in output:
                lines.append(line.rstrip("\n"))
                if on_line:
                    on_line(lines[-1])
        status = process.wait()
    except BaseException:
        _end(process)
        raise
    finally:
        with _lock:
            _running.discard(process)
    if _stopping.is_set():
        raise Stopped(command[0])
    if status == 127 and lines and lines[-1].startswith("setpriv:"):
        raise FileNotFoundError(command[0])
    return Ended(status, tuple(lines))


def stop_all() -> None:
    """End every running child, from any thread; the threads that wait for them get Stopped, and so do later starts."""
    _stopping.set()
    with _lock:
        processes = list(_running)
    for process in processes:
        _signal(process, signal.SIGINT)
    for process in processes:
        _end(process)


def allow_starts() -> None:
    """Undo `stop_all`'s ban on starts, once every thread that it concerned has ended."""
    _stopping.clear()


def _start(command: Sequence[str], cwd: Path | None, environment: Mapping[str, str] | None) -> subprocess.Popen[str]:
    with _lock:  # so that stop_all sees either the child or a start that it forbids
        if _stopping.is_set():
            raise Stopped(command[0])
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        _running.add(process)
        return process


def _end(process: subprocess.Popen[str]) -> None:
    _signal(process, signal.SIGINT)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:  # grandchildren that ignored the interrupt, and a second Ctrl-C during the wait
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
