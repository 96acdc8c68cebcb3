"""Times of the guard rails: `python -m bench.guardrails`.

What the policy pack adds to a preview of platform-prod (previews with and without it in turn, the real engine and no
cloud), the report on a change of 500 resources, and a diagnosis of the cluster in KUBECONFIG, if it names one. Beside
the time on the clock stands the processors' own, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Figure, show
from local.progress import reporter
from local.settings import load
from local.toolchain import golang, modules
from local.toolchain.build import ensure_module
from tests.graph.engine import PROJECT, Engine
from tests.unit.ops.previews import BUCKET, step, stream

STACK, ROUNDS, RESOURCES = "platform-prod", 3, 500


@dataclass(frozen=True)
class Spent:
    """Seconds: on the clock, and of processors, in processes that have ended."""

    wall: float
    cpu: float


@contextmanager
def timed(spent: list[Spent]) -> Iterator[None]:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    yield
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent.append(Spent(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))


def middle(spent: list[Spent]) -> Spent:
    return Spent(statistics.median(each.wall for each in spent), statistics.median(each.cpu for each in spent))


def run(command: list[str], *, rounds: int, allowed: tuple[int, ...]) -> Spent:
    """The median of `rounds`, after one that fills the caches."""
    spent: list[Spent] = []
    for _ in range(rounds + 1):
        with timed(spent):
            result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert result.returncode in allowed, result.stderr
    return middle(spent[1:])


def figures(what: str, spent: Spent, target: float | None = None) -> list[Figure]:
    return [Figure(what, spent.wall, "s", target), Figure(f"{what}: processor time", spent.cpu, "s")]


def previews(folder: Path) -> list[Figure]:
    go = golang.find()
    assert go is not None, "Go is not installed"
    engine = Engine(ensure_module(modules.pulumi(), go, load(), reporter()) / "bin" / "pulumi", folder)
    engine.init(STACK)
    spent: dict[bool, list[Spent]] = {False: [], True: []}
    for _ in range(ROUNDS + 1):
        for judged in (False, True):
            pack = {"PULUMI_OPTION_POLICY_PACK": str(PROJECT / "policies")} if judged else {}
            with timed(spent[judged]):
                result = engine.try_preview(STACK, **pack)
            assert result.returncode == 0, result.stderr[-2000:]
    plain, judged_too = (middle(spent[judged][1:]) for judged in (False, True))
    added = Spent(judged_too.wall - plain.wall, judged_too.cpu - plain.cpu)
    return [
        *figures(f"preview of {STACK} without the policy pack", plain),
        *figures(f"what the policy pack adds to it, {ROUNDS} of each", added, 3),
    ]


def report(folder: Path) -> list[Figure]:
    inputs = [{f"property{number}": f"{'long text ' * 20}{place}" for number in range(40)} for place in range(2)]
    text = stream(*(step("replace", BUCKET, f"bucket-{number}", *inputs) for number in range(RESOURCES)))
    path = folder / "platform-prod.json"
    path.write_text(text)
    command = [sys.executable, "-m", "ops", "report", str(path), "--out", str(folder / "comment.md")]
    title = f"report on a change of {RESOURCES} resources ({len(text) / 2**20:.0f} MiB)"
    return figures(title, run(command, rounds=ROUNDS, allowed=(1,)), 1)


def diagnosis() -> list[Figure]:
    if not os.environ.get("KUBECONFIG"):
        print("KUBECONFIG is not set: no diagnosis is timed")
        return []
    command = [sys.executable, "-m", "ops", "diagnose"]
    return figures("diagnosis of the cluster", run(command, rounds=ROUNDS, allowed=(0, 1)), 10)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="manta-guardrails-") as folder:
        show("guard rails", [*previews(Path(folder)), *report(Path(folder)), *diagnosis()])


if __name__ == "__main__":
    main()
