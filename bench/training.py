"""Training beside torchrun: `python -m bench.training [--rounds N] [--epochs N]`.

The 34 MB model on the digits, two workers of one thread each with gloo between them, a checkpoint after each epoch on
local disk. Both programs train on the same rows in the same order with the same draws, in turn, each in processes of
its own. A steady epoch is from one checkpoint to the next, the first two left out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.measure import Figure, show
from local.errors import MantaError
from payloads.training.settings import TrainSettings

PROJECT = Path(__file__).resolve().parent.parent
PEERS = PROJECT / "bench" / "peers"
OURS, PEER = "an epoch of this project's training", "an epoch of torchrun and DDP"
WORKERS, HIDDEN = 2, 2048
UNSTEADY = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each program is run")
    parser.add_argument("--epochs", type=int, default=12, help="epochs of a training")
    options = parser.parse_args()
    if options.epochs <= UNSTEADY + 1:
        raise MantaError(f"--epochs must be at least {UNSTEADY + 2}: the first {UNSTEADY} are left out")
    settings = TrainSettings(run_name="bench", num_workers=WORKERS, hidden=HIDDEN, epochs=options.epochs)
    ours: list[dict[str, Any]] = []
    peer: list[dict[str, Any]] = []
    for turn in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="manta-bench-") as name:
            arguments = [name, settings.model_dump_json()]
            ours.append(json.loads(run([sys.executable, str(PEERS / "training_ours.py"), *arguments])))
            torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={WORKERS}"]
            run([*torchrun, str(PEERS / "training_ddp.py"), *arguments])
            peer.append(json.loads(Path(name, "ddp.json").read_text()))
        epochs = f"{epoch_s(ours[-1]):.3f} s and {epoch_s(peer[-1]):.3f} s"
        print(f"round {turn + 1}/{options.rounds}: epochs of {epochs}", flush=True)
    report(ours, peer)


def run(command: list[str]) -> str:
    """The last line that a program prints. Raises MantaError with the end of its errors."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "disabled",
        "RAY_worker_niceness": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    ended = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise MantaError(f"{Path(command[-3]).name} failed:\n{ended.stderr[-2000:]}")
    return (ended.stdout.strip().splitlines() or [""])[-1]


def epoch_s(result: dict[str, Any]) -> float:
    """The median time from one epoch's end to the next, in seconds."""
    ends = result["ends"][UNSTEADY:]
    return statistics.median(later - earlier for earlier, later in itertools.pairwise(ends))


def report(ours: list[dict[str, Any]], peer: list[dict[str, Any]]) -> None:
    """Medians over the rounds, ratios of each round's pair."""
    apart = max(
        abs(mine - theirs) / theirs
        for one, other in zip(ours, peer, strict=True)
        for mine, theirs in ((one["losses"][-1], other["losses"][-1]),)
    )
    ratio = statistics.median(epoch_s(one) / epoch_s(other) for one, other in zip(ours, peer, strict=True))
    show(
        f"Training of the 34 MB model, {WORKERS} workers",
        [
            Figure(PEER, statistics.median(map(epoch_s, peer)), "s"),
            Figure(OURS, statistics.median(map(epoch_s, ours)), "s"),
            Figure("times torchrun and DDP", ratio, "x", 1.02),
            Figure("final loss", ours[-1]["losses"][-1], ""),
            Figure("its relative difference from torchrun's, the largest", apart, "", 1e-4),
            Figure(
                "from fit to the end of the first step", statistics.median(each["first_step"] for each in ours), "s", 8
            ),
        ],
    )


if __name__ == "__main__":
    try:
        main()
    except MantaError as error:
        raise SystemExit(f"error: {error}") from None
