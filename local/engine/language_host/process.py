"""Child processes of the language host: their output as it comes, and their end when the engine wants it."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal

# The engine kills plugins five seconds after it asked them to stop; children must be gone before that.
TERMINATION_GRACE_S = 3.0

Stream = Literal["stdout", "stderr"]


class Child:
    """A process in a group of its own, so that what it starts is stopped with it."""

    def __init__(self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], capture: bool) -> None:
        pipe = subprocess.PIPE if capture else None
        self._process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
        )
        self.stopped = False

    def wait(self) -> int:
        """The exit code; negative: the signal that ended it."""
        return self._process.wait()

    def output(self) -> Iterator[tuple[Stream, bytes]]:
        """Both streams in the order of arrival, until both are closed."""
        chunks: queue.Queue[tuple[Stream, bytes] | None] = queue.Queue()

        def pump(name: Stream, stream: IO[bytes]) -> None:
            while data := os.read(stream.fileno(), 65536):
                chunks.put((name, data))
            chunks.put(None)

        open_streams = 0
        for name, stream in (("stdout", self._process.stdout), ("stderr", self._process.stderr)):
            if stream is not None:
                threading.Thread(target=pump, args=(name, stream), daemon=True).start()
                open_streams += 1
        while open_streams:
            chunk = chunks.get()
            if chunk is None:
                open_streams -= 1
            else:
                yield chunk

    def stop(self) -> None:
        """Ask the group to end, and kill it if it has not within the grace. Returns at once."""
        self.stopped = True
        self._signal(signal.SIGTERM)
        timer = threading.Timer(TERMINATION_GRACE_S, self._signal, (signal.SIGKILL,))
        timer.daemon = True
        timer.start()

    def _signal(self, number: signal.Signals) -> None:
        # Once it has been waited for, its number may belong to another process.
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


class Children:
    """The running children; stopping the host stops them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: set[Child] = set()
        self._closed = False

    def start(self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], capture: bool) -> Child:
        with self._lock:
            if self._closed:
                raise RuntimeError("The language host is shutting down.")
            child = Child(command, cwd=cwd, environment=environment, capture=capture)
            self._children.add(child)
            return child

    def forget(self, child: Child) -> None:
        with self._lock:
            self._children.discard(child)

    def stop_all(self, *, closing: bool) -> None:
        with self._lock:
            self._closed = self._closed or closing
            children = list(self._children)
        for child in children:
            child.stop()
