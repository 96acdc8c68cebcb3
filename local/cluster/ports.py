"""Ports of this machine's loopback."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from local.errors import MantaError
from local.settings import Ports


def require_free(wanted: Mapping[str, int]) -> None:
    """MantaError that names the port, who has it and the setting, for the first of {purpose: port} that is taken."""
    for name, port in wanted.items():
        if not _free(port):
            raise MantaError(
                f"port {port} on 127.0.0.1, meant for {name}, is taken by {_owner(port)}: "
                f"stop that, or choose another port with {Ports.variable(name)}"
            )


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _owner(port: int) -> str:
    import psutil  # needed for the error message alone

    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return "another program"
