"""A Pulumi project in a folder of its own, driven through the real CLI as a person would."""

from __future__ import annotations

import json
import subprocess
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Result:
    code: int
    output: str


@dataclass(frozen=True)
class Project:
    folder: Path
    pulumi: Path
    environment: Mapping[str, str]
    stack: str = "test"

    @property
    def name(self) -> str:
        return self.folder.name

    def write(self, program: str) -> None:
        (self.folder / "__main__.py").write_text(textwrap.dedent(program))

    def run(self, *arguments: str, check: bool = True) -> Result:
        result = subprocess.run(
            self.command(*arguments), cwd=self.folder, env=dict(self.environment), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert not check or result.returncode == 0, f"pulumi {' '.join(arguments)}:\n{result.stdout}"
        return Result(result.returncode, result.stdout)

    def command(self, *arguments: str) -> list[str]:
        return [str(self.pulumi), "--non-interactive", "--color", "never", *arguments]

    def up(self, *arguments: str, check: bool = True) -> Result:
        return self.run("up", "--yes", "--skip-preview", "--stack", self.stack, *arguments, check=check)

    def preview(self, *arguments: str, check: bool = True) -> Result:
        return self.run("preview", "--stack", self.stack, *arguments, check=check)

    def destroy(self) -> Result:
        return self.run("destroy", "--yes", "--skip-preview", "--stack", self.stack)

    def outputs(self) -> dict[str, Any]:
        result = subprocess.run(
            self.command("stack", "output", "--json", "--show-secrets", "--stack", self.stack), cwd=self.folder,
            env=dict(self.environment), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return json.loads(result.stdout)

    def state_text(self) -> str:
        backend = Path(self.environment["PULUMI_BACKEND_URL"].removeprefix("file://"))
        return (backend / ".pulumi" / "stacks" / self.name / f"{self.stack}.json").read_text()


def create(folder: Path, program: str, *, config: str = "{}\n", options: str = "") -> Path:
    """The files of a project whose stack configuration lies in `stacks`."""
    (folder / "stacks").mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text(
        f"name: {folder.name}\nstackConfigDir: stacks\n"
        f"runtime:\n  name: python\n  options:\n    virtualenv: {CHECKOUT / '.venv'}\n{options}"
    )
    (folder / "stacks" / "Pulumi.test.yaml").write_text(config)
    (folder / "__main__.py").write_text(textwrap.dedent(program))
    return folder


def until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
