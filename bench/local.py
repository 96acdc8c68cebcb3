"""Times and memory of the local cloud: `python -m bench.local [--cold]`.

Every figure is taken through the commands that people type. `--cold` uses caches and a state folder of its own, so that
nothing that was built before helps; it needs the disk space of a first run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from bench.measure import Figure, show
from bench.memory import control_plane_bytes
from local.settings import load

PROJECT = Path(__file__).resolve().parent.parent
MINUTE = 60.0
# The control plane is called idle after this long without work; a controller's resync comes every few minutes.
SETTLE_S = 60.0


def timed(target: str, environment: Mapping[str, str]) -> float:
    """Seconds that `make <target>` takes; its output is shown, a failure ends the benchmark."""
    started = time.monotonic()
    subprocess.run(["make", target], cwd=PROJECT, env=dict(environment), check=True)
    return time.monotonic() - started


def warm() -> list[Figure]:
    """From a stopped cluster, and without anything to do."""
    environment = dict(os.environ)
    timed("up", environment)
    down = timed("down", environment)
    started = timed("up", environment)
    idle = timed("up", environment)
    time.sleep(SETTLE_S)
    memory = control_plane_bytes(load()) / 2**30
    return [
        Figure("make up, stopped cluster to answered request", started / MINUTE, "min", 3),
        Figure("make up, nothing to do", idle, "s", 20),
        Figure("make down", down, "s", 15),
        Figure("control plane, idle", memory, "GiB", 1.2),
    ]


def cold() -> list[Figure]:
    """From nothing: no toolchain, no image, no Python environment, no compiler cache, no state."""
    timed("down", dict(os.environ))
    folder = Path(tempfile.mkdtemp(prefix="manta-cold-"))
    checkout = folder / "checkout"
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(folder / "cache"),
        "UV_CACHE_DIR": str(folder / "cache" / "uv"),
        "GOCACHE": str(folder / "cache" / "go-build"),
        "GOMODCACHE": str(folder / "cache" / "go-mod"),
        "MANTA_STATE_DIR": str(folder / "state"),
    }
    subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(checkout)], check=True)
    try:
        started = time.monotonic()
        subprocess.run(["make", "up"], cwd=checkout, env=environment, check=True)
        seconds = time.monotonic() - started
        subprocess.run(["make", "clean"], cwd=checkout, env=environment, check=True)
    finally:
        # The Go module cache is read-only by design; without this, removing it fails.
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)
    return [Figure("make up, nothing cached", seconds / MINUTE, "min", 15)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cold", action="store_true", help="also from nothing (a quarter of an hour)")
    figures = warm()
    if parser.parse_args().cold:
        figures += cold()
    show("the local cloud", figures)


if __name__ == "__main__":
    main()
