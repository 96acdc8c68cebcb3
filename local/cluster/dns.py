"""One DNS question, to see that the cluster's server answers."""

from __future__ import annotations

import secrets
import socket
import struct

_HEADER = "!HHHHHH"
_RECURSION_DESIRED = 0x0100
_TYPE_A = 1
_CLASS_IN = 1


def resolves(server: str, name: str, *, timeout_s: float = 1.0) -> bool:
    """Whether `server` gives at least one IPv4 address for `name`."""
    question = query(secrets.randbelow(1 << 16), name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect((server, 53))
            connection.send(question)
            answer = connection.recv(512)
        except OSError:
            return False
    return addresses(question, answer) > 0


def query(identifier: int, name: str) -> bytes:
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.rstrip(".").split("."))
    header = struct.pack(_HEADER, identifier, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + labels + b"\0" + struct.pack("!HH", _TYPE_A, _CLASS_IN)


def addresses(question: bytes, answer: bytes) -> int:
    """Number of records in the `answer` to `question`; zero for an error, or an answer to another question."""
    if len(answer) < struct.calcsize(_HEADER) or answer[:2] != question[:2]:
        return 0
    _, flags, _, answers, _, _ = struct.unpack_from(_HEADER, answer)
    failed = flags & 0x000F
    return 0 if failed else answers
