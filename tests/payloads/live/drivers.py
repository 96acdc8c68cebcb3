"""Drivers of runs: in this process where that is enough, in one of their own where it is to be killed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from payloads.common.errors import run_main
from payloads.training.train import main

PROJECT = Path(__file__).resolve().parents[3]
# Two hundred times what a run takes on an idle machine would still be a hang; this is thirty times.
TIMEOUT_S = 900
# A small model and few epochs: what is tested is the machinery around them.
SMALL = {"hidden": 256, "depth": 2, "epochs": 6, "lr": 0.003, "dropout": 0.1}


class Output:
    """What a driver printed, line by line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.status: int | None = None

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def result(self) -> dict[str, Any]:
        found = [line for line in self.lines if line.startswith("result: ")]
        assert len(found) == 1, f"expected one result line:\n{self.text}"
        assert self.lines[-1] == found[0], f"the result comes last:\n{self.text}"
        return json.loads(found[0].removeprefix("result: "))

    @property
    def epochs(self) -> list[int]:
        """Epochs in the order in which they were announced."""
        marks = [line.split()[2] for line in self.lines if line.startswith("progress: epoch ")]
        return [int(mark.split("/")[0]) for mark in marks]


def train(on_line: Callable[[str], None] | None = None, **flags: Any) -> Output:
    return drive(main, on_line, **{**SMALL, **flags})


def train_until(address: str, fatal: Callable[[str], bool], **flags: Any) -> Output:
    return drive_until("payloads.training.train", address, fatal, **{**SMALL, **flags})


def drive(entry: Callable[[list[str]], None], on_line: Callable[[str], None] | None = None, **flags: Any) -> Output:
    """Run the driver `entry` to its end in this process, on the Ray that it is connected to."""
    output = Output()
    arguments = _arguments(flags)
    before = signal.getsignal(signal.SIGTERM)
    interrupt = signal.getsignal(signal.SIGINT)  # Ray Train leaves its own handler behind
    stream = _Lines(output, on_line)
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            run_main(lambda: entry(arguments))
        output.status = 0
    except SystemExit as end:
        output.status = int(end.code or 0)
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, interrupt)
    return output


def drive_until(
    module: str,
    address: str,
    fatal: Callable[[str], bool] = lambda _: False,
    when: Callable[[], bool] = lambda: False,
    **flags: Any,
) -> Output:
    """Run a driver in a process of its own, joined to the Ray at `address`; SIGKILL it at a fatal line or `when`."""
    output = Output()
    process = subprocess.Popen(
        [sys.executable, "-m", module, *_arguments(flags)],
        cwd=PROJECT,
        env={**os.environ, "RAY_ADDRESS": address},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(TIMEOUT_S, process.kill)
    watchdog.start()
    with process, watching(when, process.kill):
        assert process.stdout is not None
        for line in process.stdout:
            output.lines.append(line.rstrip("\n"))
            if fatal(output.lines[-1]):
                process.kill()
    watchdog.cancel()
    output.status = process.returncode
    return output


@contextlib.contextmanager
def watching(when: Callable[[], bool], act: Callable[[], None]) -> Iterator[threading.Event]:
    """Look every 50 ms, in a thread, and `act` once; the event says whether that happened."""
    ended, acted = threading.Event(), threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            if when():
                act()
                acted.set()
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield acted
    finally:
        ended.set()
        thread.join()


def _arguments(flags: dict[str, Any]) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]


class _Lines(io.TextIOBase):
    def __init__(self, output: Output, on_line: Callable[[str], None] | None) -> None:
        self.output = output
        self.on_line = on_line
        self.rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            self.output.lines.append(line)
            if self.on_line:
                self.on_line(line)
        return len(text)
