"""Requests a second of the model server beside its peers: `python -m bench.serving [--rounds N] [--seconds N]`.

Same 34 MB model, same request, same two cores, 64 connections from wrk. Every server has an environment and processes
of its own and runs alone; rounds are interleaved, so that a slow minute of the machine hits all of them. All of it
happens in a network namespace: no port is reachable from outside, and a running cluster's ports are not in the way.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.measure import Figure, show
from bench.peers.environments import Environments, build
from bench.wrk import Load, lua, wrk
from local.errors import MantaError
from local.settings import load
from payloads.data import digits

PROJECT = Path(__file__).resolve().parent.parent
PEERS = PROJECT / "bench" / "peers"
INSIDE = "MANTA_BENCH_ENVIRONMENTS"
PORT = 8000
URL = f"http://127.0.0.1:{PORT}/predict"
CONNECTIONS = 64
READY_S = 120.0
# A server that is still starting gives 404 or 503, never these.
CLIENT_ERRORS = (400, 413, 422)
# The same for both Ray servers, and none of it a setting of Serve: no browser login, no lower priority than wrk.
RAY = {"RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
OPTIMISED = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
OURS, FASTAPI = "this project's RayService app", "FastAPI, batched by hand"
STOCK, UNLIMITED = "Ray Serve, stock settings", "Ray Serve, stock but max_ongoing_requests"
# Serve's default, and more than the benchmark's connections.
MAX_ONGOING = {STOCK: 5, UNLIMITED: 100}


@dataclass
class Server:
    """A server to measure: its command (MODEL and PORT follow), variables, and what was measured."""

    name: str
    command: list[str]
    environment: dict[str, str]
    loads: list[Load] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(load.rate for load in self.loads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each server is started and measured")
    parser.add_argument("--seconds", type=int, default=10, help="length of one measurement")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise MantaError("wrk is not installed: apt-get install wrk")
    if INSIDE not in os.environ:
        environments = build(load())
        command = ["unshare", "--net", sys.executable, "-m", "bench.serving", *sys.argv[1:]]
        os.execvpe("unshare", command, {**os.environ, INSIDE: environments.to_json()})  # noqa: S606 - no shell is meant
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory(prefix="manta-bench-") as name:
        measure(Path(name), Environments.from_json(os.environ[INSIDE]), options.rounds, options.seconds)


def measure(folder: Path, environments: Environments, rounds: int, seconds: int) -> None:
    """Make the model, run every server `rounds` times, print the tables."""
    making = [sys.executable, "-m", "bench.peers.model", str(folder)]
    made = subprocess.run(making, cwd=PROJECT, capture_output=True, text=True, check=False)
    if made.returncode:
        raise MantaError(f"the benchmark's model could not be made:\n{made.stderr[-2000:]}")
    model = made.stdout.strip().splitlines()[-1]
    script = folder / "post.lua"
    script.write_text(lua(one_request()))
    common = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    registry = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "MANTA_STORAGE": "s3://unused"}
    servers = [
        Server(OURS, [sys.executable, str(PEERS / "ours.py"), "bench"], {**common, **RAY, **OPTIMISED, **registry}),
        Server(FASTAPI, [environments.fastapi, str(PEERS / "fastapi_batched.py"), model], common),
        *(
            Server(name, [environments.serve, str(PEERS / "serve_stock.py"), str(limit), model], {**common, **RAY})
            for name, limit in MAX_ONGOING.items()
        ),
    ]
    for turn in range(rounds):
        for server in servers:
            with running(server, folder):
                wrk(script, URL, 3, CONNECTIONS)  # caches fill, and wrk's connections open
                server.loads.append(wrk(script, URL, seconds, CONNECTIONS))
            print(f"round {turn + 1}/{rounds}: {server.name}: {server.loads[-1].rate:.0f} requests/s", flush=True)
    report(servers)


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
        while not answers():
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


def answers() -> bool:
    """Whether the server recognises the digit: a fast server of wrong answers is no peer."""
    body = one_request()
    request = urllib.request.Request(URL, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        if error.code in CLIENT_ERRORS:
            raise MantaError(f"the server refused the request: {error.code} {error.read(500).decode()}") from None
        return False
    except OSError:
        return False
    if answer["label"] != "0":
        raise MantaError(f"the server took a handwritten 0 for a {answer['label']}")
    return True


def one_request() -> dict[str, list[int]]:
    """The first of the digits, a 0."""
    return {"pixels": [int(value) for value in digits.pixel_matrix(digits.build_table())[0]]}


def report(servers: list[Server]) -> None:
    """Rates and latencies (medians over the rounds), then the ratios."""
    table = Table(title="Model server, 34 MB model, 64 connections", title_justify="left")
    table.add_column("server")
    for column in ("requests/s", "lowest", "highest", "p50 ms", "p99 ms", "errors"):
        table.add_column(column, justify="right")
    for server in servers:
        rates = [load.rate for load in server.loads]
        table.add_row(
            server.name,
            *(f"{rate:.0f}" for rate in (server.rate, min(rates), max(rates))),
            f"{statistics.median(load.p50 for load in server.loads):.1f}",
            f"{statistics.median(load.p99 for load in server.loads):.1f}",
            str(sum(load.errors for load in server.loads)),
        )
    Console(width=100).print(table)
    rates = {server.name: server.rate for server in servers}
    targets = {FASTAPI: 1.2, STOCK: 8.0, UNLIMITED: 8.0}
    show(
        "RayService app against its peers",
        [
            Figure(f"times {name}", rates[OURS] / rates[name], "x", target, at_least=True)
            for name, target in targets.items()
        ],
    )


if __name__ == "__main__":
    try:
        main()
    except MantaError as error:
        raise SystemExit(f"error: {error}") from None
