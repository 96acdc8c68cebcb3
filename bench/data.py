"""The feature pipeline beside polars on the same files: `python -m bench.data [--rows N] [--rounds N]`.

4 million rows of 18 columns on local disk, two cores, each program in a process of its own, in turn. Both check every
column, filter, split, fit on the train split, standardise and write Parquet.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bench.measure import Figure, show
from bench.peers.environments import build_one
from local.errors import MantaError
from local.settings import load
from payloads.features import sample

PROJECT = Path(__file__).resolve().parent.parent
PEERS = PROJECT / "bench" / "peers"
POLARS = ("polars==2.1.0",)
OURS, PEER = "this project's feature pipeline", "polars, streaming"
ROWS_A_FILE, ROWS_A_GROUP = 250_000, 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000_000, help="rows of the source")
    parser.add_argument("--rounds", type=int, default=3, help="how often each program is run")
    options = parser.parse_args()
    polars = str(build_one(load(), "polars", POLARS))
    with tempfile.TemporaryDirectory(prefix="manta-bench-") as name:
        source = Path(name, "source")
        make(source, options.rows)
        results: dict[str, list[dict[str, Any]]] = {OURS: [], PEER: []}
        for turn in range(options.rounds):
            for program, command in (
                (OURS, [sys.executable, str(PEERS / "features_ours.py")]),
                (PEER, [polars, str(PEERS / "features_polars.py")]),
            ):
                out = Path(name, "out")
                results[program].append(run(program, [*command, str(source), str(out)]))
                shutil.rmtree(out)
                seconds = results[program][-1]["seconds"]
                print(f"round {turn + 1}/{options.rounds}: {program}: {seconds:.2f} s", flush=True)
        report(results, options.rows, sum(path.stat().st_size for path in source.iterdir()))


def make(folder: Path, rows: int) -> None:
    """The source: the sample without the column that no contract names."""
    folder.mkdir()
    for number, first in enumerate(range(0, rows, ROWS_A_FILE)):
        table = sample.table(first, min(ROWS_A_FILE, rows - first)).drop_columns("comment")
        pq.write_table(table, folder / f"part-{number:05d}.parquet", row_group_size=ROWS_A_GROUP)


def run(program: str, command: list[str]) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}
    ended = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise MantaError(f"{program} failed:\n{ended.stderr[-2000:]}")
    return json.loads(ended.stdout.strip().splitlines()[-1])


def report(results: dict[str, list[dict[str, Any]]], rows: int, size: int) -> None:
    """Medians over the rounds; each result must have kept as many rows as the other."""
    kept = {result["rows"] for found in results.values() for result in found}
    if len(kept) != 1:
        raise MantaError(f"the programs kept different numbers of rows: {sorted(kept)}")
    seconds = {name: statistics.median(result["seconds"] for result in found) for name, found in results.items()}
    init = statistics.median(result["init"] for result in results[OURS])
    memory = max(result["worker_bytes"] for result in results[OURS])
    show(
        f"Feature pipeline, {rows:,} rows, {size / 2**20:.0f} MiB of Parquet",
        [
            Figure(PEER, seconds[PEER], "s"),
            Figure(OURS, seconds[OURS], "s"),
            Figure("times polars", seconds[OURS] / seconds[PEER], "x", 3.0),
            Figure("Ray's start, not counted above", init, "s"),
            Figure("most memory of one worker process", memory / 2**20, "MiB"),
        ],
    )


if __name__ == "__main__":
    try:
        main()
    except MantaError as error:
        raise SystemExit(f"error: {error}") from None
