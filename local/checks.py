"""The tests, the linters and the benchmarks, in the environment that they need."""

from __future__ import annotations

import os
import sys

from local.environment import CHECKOUT, VENV, ensure_environment
from local.progress import Reporter
from local.settings import LocalSettings

# Tiers in the order of their cost, so that a cheap failure is seen first. The last two use real clusters.
TIERS = (
    "tests/unit", "tests/contract", "tests/payloads", "tests/graph", "tests/aws", "tests/sim", "tests/cluster"
)  # fmt: skip
FAST = ("tests/unit", "tests/contract", "tests/payloads/code", "-m", "not cluster")


def test(settings: LocalSettings, report: Reporter, *, fast: bool) -> int:
    """pytest over the tiers; its exit status. Replaces this process, so that Ctrl-C is pytest's."""
    ensure_environment(settings, report)
    return _replace([sys.executable, "-m", "pytest", *(FAST if fast else TIERS)])


def test_catalogue(settings: LocalSettings, report: Reporter) -> int:
    """Every stack of the payload catalogue, brought up on the local cluster, used and destroyed."""
    ensure_environment(settings, report)
    return _replace([sys.executable, "-m", "pytest", "tests/catalogue"])


def drills(settings: LocalSettings, report: Reporter) -> int:
    """Failures on purpose on the local cluster; the table of their figures comes last."""
    ensure_environment(settings, report)
    return _replace([sys.executable, "-m", "pytest", "-v", "-s", "tests/drills"])


def lint(settings: LocalSettings, report: Reporter) -> int:
    """ruff's rules and format, then pyright; the first that fails ends it."""
    ensure_environment(settings, report)
    ruff, pyright = VENV / "bin" / "ruff", VENV / "bin" / "pyright"
    script = f"'{ruff}' check . && '{ruff}' format --check . && '{pyright}'"
    return _replace(["/bin/sh", "-c", script])


def bench(settings: LocalSettings, report: Reporter) -> int:
    """Both benchmarks; each prints its own table."""
    ensure_environment(settings, report)
    script = f"'{sys.executable}' -m bench.local && '{sys.executable}' -m bench.serving"
    return _replace(["/bin/sh", "-c", script])


def _replace(command: list[str]) -> int:
    os.chdir(CHECKOUT)
    sys.stdout.flush()
    os.execvp(command[0], command)  # noqa: S606 - the command is fixed and runs in this one's place
