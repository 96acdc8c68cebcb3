"""Ports of 127.0.0.1 that the cluster's services will be published on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psutil

from local.settings import LocalSettings, Ports

# An address in this list, or in IPv6 spelling, keeps others from binding 127.0.0.1; another loopback address does not.
_CLASHING = ("127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1")  # noqa: S104 - looked for, not bound


@dataclass(frozen=True)
class Listener:
    """A TCP socket that waits for connections. `ours`: it belongs to this instance's cluster."""

    address: str
    port: int
    program: str
    ours: bool = False


def problems(wanted: Ports, listening: Iterable[Listener]) -> list[str]:
    holders = {each.port: each for each in listening if not each.ours and each.address in _CLASHING}
    return [
        f"port {port}, meant for {name}, is taken by {holders[port].program}: "
        f"stop that, or choose another port with {Ports.variable(name)}"
        for name, port in wanted.by_name().items()
        if port in holders
    ]


def listeners(settings: LocalSettings) -> Sequence[Listener]:
    """The sockets of this machine's own network namespace that listen on the wanted ports."""
    wanted = set(settings.ports.by_name().values())
    found: list[Listener] = []
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port in wanted:
            program, ours = _holder(connection.pid, settings)
            found.append(Listener(connection.laddr.ip, connection.laddr.port, program, ours))
    return found


def _holder(pid: int | None, settings: LocalSettings) -> tuple[str, bool]:
    if pid is None:  # a socket of the kernel's, or of a process that this user may not look at
        return "another program", False
    try:
        process = psutil.Process(pid)
        family = [process, *process.parents()]
        return f"{process.name()} (process {pid})", any(_is_supervisor(each.cmdline(), settings) for each in family)
    except psutil.Error:
        return f"process {pid}", False


def _is_supervisor(command: list[str], settings: LocalSettings) -> bool:
    state = f"{settings.state_dir}/"
    return "local.cluster.supervisor" in command and any(word.startswith(state) for word in command)
