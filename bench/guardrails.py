"""Times of the guard rails: `python -m bench.guardrails`.

What the policy pack adds to a preview of platform-prod (previews with and without it in turn, the real engine and no
cloud), the report on a change of 500 resources, and a diagnosis of the cluster in KUBECONFIG, if it names one.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.measure import Figure, show
from local.progress import reporter
from local.settings import load
from local.toolchain import golang, modules
from local.toolchain.build import ensure_module
from tests.graph.engine import PROJECT, Engine
from tests.unit.ops.previews import BUCKET, step, stream

STACK, ROUNDS, RESOURCES = "platform-prod", 5, 500


def seconds(command: list[str], *, allowed: tuple[int, ...] = (0,)) -> float:
    started = time.monotonic()
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode in allowed, result.stderr
    return time.monotonic() - started


def previews(folder: Path) -> list[Figure]:
    """Medians of ROUNDS each, after one that fills the caches."""
    go = golang.find()
    assert go is not None, "Go is not installed"
    engine = Engine(ensure_module(modules.pulumi(), go, load(), reporter()) / "bin" / "pulumi", folder)
    engine.init(STACK)
    taken: dict[bool, list[float]] = {False: [], True: []}
    for number in range(ROUNDS + 1):
        for judged in (False, True):
            pack = {"PULUMI_OPTION_POLICY_PACK": str(PROJECT / "policies")} if judged else {}
            started = time.monotonic()
            result = engine.try_preview(STACK, **pack)
            assert result.returncode == 0, result.stderr[-2000:]
            if number:
                taken[judged].append(time.monotonic() - started)
    plain, with_pack = (statistics.median(taken[judged]) for judged in (False, True))
    return [
        Figure(f"preview of {STACK} without the policy pack", plain, "s"),
        Figure(f"what the policy pack adds to it, {ROUNDS} of each", with_pack - plain, "s", 3),
    ]


def report(folder: Path) -> Figure:
    inputs = [{f"property{number}": f"{'long text ' * 20}{place}" for number in range(40)} for place in range(2)]
    text = stream(*(step("replace", BUCKET, f"bucket-{number}", *inputs) for number in range(RESOURCES)))
    path = folder / "platform-prod.json"
    path.write_text(text)
    command = [sys.executable, "-m", "ops", "report", str(path), "--out", str(folder / "comment.md")]
    seconds(command, allowed=(1,))
    taken = statistics.median(seconds(command, allowed=(1,)) for _ in range(ROUNDS))
    return Figure(f"report on a change of {RESOURCES} resources ({len(text) / 2**20:.0f} MiB)", taken, "s", 1)


def diagnosis() -> list[Figure]:
    if not os.environ.get("KUBECONFIG"):
        print("KUBECONFIG is not set: no diagnosis is timed")
        return []
    command = [sys.executable, "-m", "ops", "diagnose"]
    return [
        Figure(
            "diagnosis of the cluster", statistics.median(seconds(command, allowed=(0, 1)) for _ in range(3)), "s", 10
        )
    ]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="manta-guardrails-") as folder:
        show("guard rails", [*previews(Path(folder)), report(Path(folder)), *diagnosis()])


if __name__ == "__main__":
    main()
