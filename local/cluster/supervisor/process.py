"""One component: start, death, restart with growing pauses."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from local.cluster.spec import Component
from local.cluster.supervisor import logs

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
_SETTLED_S = 60.0  # a process that lived this long has earned a short pause again

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Process:
    """State of a component. `pid` is of the node's PID namespace; times are seconds since the epoch."""

    component: Component
    pid: int | None = None
    started_at: float = 0.0
    not_before: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    restarts: int = 0
    last_exit: str = ""

    def start(self, logs_folder: Path) -> None:
        self.pid = _spawn(self.component, logs_folder)
        self.started_at = time.time()

    def ended(self, status: int) -> None:
        lived = time.time() - self.started_at
        self.pause_s = _FIRST_PAUSE_S if lived > _SETTLED_S else min(self.pause_s * 2, _LONGEST_PAUSE_S)
        self.pid = None
        self.restarts += 1
        self.not_before = time.time() + self.pause_s
        code = os.waitstatus_to_exitcode(status)
        self.last_exit = f"exit status {code}" if code >= 0 else signal.Signals(-code).name


def answering(sockets: Iterable[str]) -> bool:
    """Whether every `tcp:HOST:PORT` and `unix:PATH` accepts a connection."""
    return all(_answers(socket_) for socket_ in sockets)


def _answers(address: str) -> bool:
    kind, _, rest = address.partition(":")
    host, _, port = rest.rpartition(":")
    # Not create_connection(): it loads an encoding on first use, and Python's library is not in the node's root.
    with socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX) as connection:
        connection.settimeout(0.5)
        try:
            connection.connect((host, int(port)) if kind == "tcp" else rest)
        except OSError:
            return False
    return True


def _spawn(component: Component, logs_folder: Path) -> int:
    output = logs.open_log(logs_folder, component.name)
    pid = os.fork()
    if pid:
        os.close(output)
        return pid
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        environment = {"PATH": _PATH, "HOME": "/root", "LANG": "C.UTF-8", **component.environment}
        os.execvpe(component.argv[0], component.argv, environment)  # noqa: S606
    except OSError as error:
        os.write(2, f"{component.argv[0]} cannot be started: {error}\n".encode())
    finally:
        os._exit(127)
