"""Requests a second of the model server beside its peers: `python -m bench.serving [--rounds N] [--seconds N]`.

Same 34 MB model, same request, same two cores, 64 connections from wrk. Every server has an environment and processes
of its own and runs alone; rounds are interleaved, so that a slow minute of the machine hits all of them. All of it
happens in a network namespace: no port is reachable from outside, and a running cluster's ports are not in the way.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.measure import Figure, show
from bench.peers.environments import Environments, build
from bench.servers import URL, Server, running
from bench.wrk import Load, lua, wrk
from local.errors import MantaError
from local.settings import load

PROJECT = Path(__file__).resolve().parent.parent
PEERS = PROJECT / "bench" / "peers"
INSIDE = "MANTA_BENCH_ENVIRONMENTS"
CONNECTIONS = 64
WARM_S = 3
# The same for all Ray servers, and none of it a setting of Serve: no browser login, no lower priority than wrk.
RAY = {"RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
OPTIMISED = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
OURS, UNBATCHED = "this project's RayService app", "this project's, batches of one"
FASTAPI, LITSERVE, BENTOML = "FastAPI, batched by hand", "LitServe", "BentoML"
STOCK, UNLIMITED = "Ray Serve, stock settings", "Ray Serve, stock but max_ongoing_requests"
# Serve's default, and more than the benchmark's connections.
MAX_ONGOING = {STOCK: 5, UNLIMITED: 100}
TARGETS = {FASTAPI: 1.2, LITSERVE: 2.0, BENTOML: 2.0, STOCK: 8.0, UNLIMITED: 8.0, UNBATCHED: 4.0}


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
    model = output([sys.executable, "-m", "bench.peers.model", str(folder)]).splitlines()[-1]
    servers = list_servers(folder, environments, model)
    raw: list[float] = []
    for turn in range(rounds):
        computed = [environments.fastapi, str(PEERS / "raw_torch.py"), model, str(seconds)]
        raw.append(float(output(computed)))
        print(f"round {turn + 1}/{rounds}: the model alone: {raw[-1]:.0f} rows/s", flush=True)
        for server in servers:
            script = folder / "post.lua"
            script.write_text(lua(server.body))
            with running(server, folder):
                wrk(script, URL, WARM_S, CONNECTIONS)  # caches fill, and wrk's connections open
                server.loads.append(wrk(script, URL, seconds, CONNECTIONS))
                if server.name == OURS:
                    server.half.append(half_load(server, script, seconds))
            print(f"round {turn + 1}/{rounds}: {server.name}: {server.loads[-1].rate:.0f} requests/s", flush=True)
    report(servers, statistics.median(raw))


def half_load(server: Server, script: Path, seconds: int) -> Load:
    """The load at half of the rate that `server` has just reached: a connection's mean time between two requests is
    twice what it was, of which the answer takes less than before, so that the rest is waited."""
    between_ms = CONNECTIONS / (server.loads[-1].rate / 2) * 1e3
    script.write_text(lua(server.body, think_ms=between_ms))
    first = wrk(script, URL, WARM_S, CONNECTIONS)
    script.write_text(lua(server.body, think_ms=max(0.0, between_ms - first.p50)))
    return wrk(script, URL, seconds, CONNECTIONS)


def list_servers(folder: Path, environments: Environments, model: str) -> list[Server]:
    common = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    registry = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "MANTA_STORAGE": "s3://unused"}
    bento = {"BENTOML_HOME": f"{folder}/bentoml", "BENTOML_DO_NOT_TRACK": "True"}
    return [
        *(
            Server(
                name,
                [sys.executable, str(PEERS / "ours.py"), "bench", str(most)],
                {**common, **RAY, **OPTIMISED, **registry},
            )
            for name, most in {OURS: 64, UNBATCHED: 1}.items()
        ),
        Server(FASTAPI, [environments.fastapi, str(PEERS / "fastapi_batched.py"), model], common),
        Server(LITSERVE, [environments.litserve, str(PEERS / "litserve_batched.py"), model], common),
        Server(
            BENTOML,
            [environments.bentoml, str(PEERS / "bentoml_batched.py"), model],
            {**common, **bento},
            listed=True,
        ),
        *(
            Server(name, [environments.serve, str(PEERS / "serve_stock.py"), str(limit), model], {**common, **RAY})
            for name, limit in MAX_ONGOING.items()
        ),
    ]


def output(command: list[str]) -> str:
    """What a program prints. Raises MantaError with the end of its errors."""
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise MantaError(f"{' '.join(command[1:3])} failed:\n{ended.stderr[-2000:]}")
    return ended.stdout.strip()


def report(servers: list[Server], raw: float) -> None:
    """Rates and latencies (medians over the rounds), then the ratios; `raw` is rows/s of the model alone."""
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
            str(sum(load.errors + load.lost for load in server.loads)),
        )
    Console(width=100).print(table)
    rates = {server.name: server.rate for server in servers}
    half = next(server.half for server in servers if server.name == OURS)
    spread = statistics.median(load.p99 / load.p50 for load in half)
    show(
        "RayService app against its peers",
        [
            *(
                Figure(f"times {name}", rates[OURS] / rates[name], "x", target, at_least=True)
                for name, target in TARGETS.items()
            ),
            Figure("of the model alone, 64 rows at a time on each core", rates[OURS] / raw, "x", 0.5, at_least=True),
            Figure("load of the next line", statistics.median(load.rate for load in half) / rates[OURS], "x"),
            Figure("p99 in p50s at that load", spread, "x", 3.0),
        ],
    )


if __name__ == "__main__":
    try:
        main()
    except MantaError as error:
        raise SystemExit(f"error: {error}") from None
