"""Model servers to measure, each in processes of its own: started, asked until one answers rightly, ended."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.wrk import Load
from local.errors import MantaError
from payloads.data import digits

PORT = 8000
URL = f"http://127.0.0.1:{PORT}/predict"
READY_S = 120.0
# A server that is still starting gives 404 or 503, never these.
CLIENT_ERRORS = (400, 413, 422)


@dataclass
class Server:
    """A server to measure: its command (PORT follows), variables, whether it takes a list of rows for one (`listed`),
    and what was measured at full load and, where asked for, at half of it."""

    name: str
    command: list[str]
    environment: dict[str, str]
    listed: bool = False
    loads: list[Load] = field(default_factory=list)
    half: list[Load] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(load.rate for load in self.loads)

    @property
    def body(self) -> dict[str, Any]:
        """The first of the digits, a 0."""
        pixels = [int(value) for value in digits.pixel_matrix(digits.build_table())[0]]
        return {"pixels": [pixels] if self.listed else pixels}


@contextmanager
def running(server: Server, folder: Path) -> Iterator[None]:
    """Start `server` in a PID namespace of its own and wait for its first answer; every process ends with it."""
    log = folder / "server.log"
    alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*alone, *server.command, str(PORT)], env=server.environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + READY_S
        while not answers(server):
            if process.poll() is not None or time.monotonic() > deadline:
                raise MantaError(f"{server.name} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.5)
        yield
    finally:
        process.kill()
        process.wait()
        while listening():  # the kernel ends a namespace's processes after the one that was waited for
            time.sleep(0.1)


def listening() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


def answers(server: Server) -> bool:
    """Whether the server recognises the digit: a fast server of wrong answers is no peer."""
    request = urllib.request.Request(URL, json.dumps(server.body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        if error.code in CLIENT_ERRORS:
            raise MantaError(f"{server.name} refused the request: {error.code} {error.read(500).decode()}") from None
        return False
    except OSError:
        return False
    label = (answer[0] if server.listed else answer)["label"]
    if label != "0":
        raise MantaError(f"{server.name} took a handwritten 0 for a {label}")
    return True
