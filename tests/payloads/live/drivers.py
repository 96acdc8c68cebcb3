"""Training drivers as Kubernetes runs them: a process of its own that joins a Ray cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[3]
TIMEOUT_S = 240


class Driver:
    """`python -m payloads.training.train`; `on_line` is called for each line of its output as it comes."""

    def __init__(
        self, address: str, flags: dict[str, Any], on_line: Callable[[Driver, str], None] | None = None
    ) -> None:
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "payloads.training.train", *arguments],
            cwd=PROJECT,
            env={**os.environ, "RAY_ADDRESS": address},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.on_line = on_line
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def wait(self) -> Driver:
        self.process.wait(timeout=TIMEOUT_S)
        self.reader.join(timeout=10)
        return self

    def kill(self) -> None:
        """SIGKILL, as when the head pod goes."""
        self.process.kill()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def result(self) -> dict[str, Any]:
        found = [line for line in self.lines if line.startswith("result: ")]
        assert len(found) == 1, f"expected one result line:\n{self.output}"
        return json.loads(found[0].removeprefix("result: "))

    @property
    def epochs(self) -> list[int]:
        """Epochs in the order in which they were announced."""
        marks = [line.split()[2] for line in self.lines if line.startswith("progress: epoch ")]
        return [int(mark.split("/")[0]) for mark in marks]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if self.on_line:
                self.on_line(self, self.lines[-1])


def train(address: str, on_line: Callable[[Driver, str], None] | None = None, **flags: Any) -> Driver:
    """Run a driver to its end. A small model and few epochs: what is tested is the machinery around them."""
    return Driver(address, {"hidden": 64, "depth": 2, "epochs": 6, **flags}, on_line).wait()
