"""The engine never goes on when the command that started it has ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[4]
# Speaks once it is there, and like the engine records what it did when it is interrupted.
ENGINE = """\
#!/bin/sh
trap 'echo recorded > "$RECORD"; exit 1' INT
echo there > "$RECORD"
while :; do sleep 0.1; done
"""
UP = """
import os, sys
from pathlib import Path
from rich.console import Console
from local import errors, processes
from local.progress import PlainReporter
from local.up import stack

def up():
    engine = stack.Engine(Path(sys.argv[1]), dict(os.environ), Path.cwd())
    with PlainReporter(Console()).stage("stack") as stage:
        stack.up(engine, "train-local", stage)

processes.end_in_order()
sys.exit(errors.run(up))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_engine_is_asked_to_stop_however_its_command_ends(number: signal.Signals, tmp_path: Path) -> None:
    program, record = tmp_path / "pulumi", tmp_path / "record"
    program.write_text(ENGINE)
    program.chmod(0o755)
    up = subprocess.Popen(
        [sys.executable, "-c", UP, program], cwd=PROJECT, env={"PATH": "/usr/bin:/bin", "RECORD": str(record)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(record, "there")
    up.send_signal(number)
    up.wait(60)
    wait_for(record, "recorded")


def wait_for(record: Path, word: str) -> None:
    deadline = time.monotonic() + 60
    while not record.exists() or record.read_text().strip() != word:
        assert time.monotonic() < deadline, f"the engine never wrote: {word}"
        time.sleep(0.05)
