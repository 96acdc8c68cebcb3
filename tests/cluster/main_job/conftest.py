"""The stacks of the main job, driven by the same code as `make up`."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config
from rich.console import Console

from local.engine import stacks
from local.environment import CHECKOUT
from local.progress import PlainReporter
from local.settings import LocalSettings
from local.up import shell, stack
from local.up.events import Update


class Stacks:
    """`pulumi up` and `destroy` of this checkout's stacks, with the engine's own reasons when they fail."""

    def __init__(self, settings: LocalSettings) -> None:
        self.environment = shell.variables(settings)
        self.pulumi = shell.tools(settings).pulumi
        self._report = PlainReporter(Console())

    def up(self, name: str, config_file: Path | None = None) -> Update:
        return self._run(stack.up, name, config_file)

    def destroy(self, name: str, config_file: Path | None = None) -> Update:
        return self._run(stack.destroy, name, config_file)

    def outputs(self, name: str) -> dict[str, Any]:
        return stack.outputs(stack.Engine(self.pulumi, self.environment, CHECKOUT), name)

    def remove(self, name: str) -> None:
        """Forget an empty stack."""
        command = [str(self.pulumi), "--non-interactive", "stack", "rm", "--yes", "--preserve-config", "--stack", name]
        subprocess.run(command, cwd=CHECKOUT, env=self.environment, check=True, capture_output=True)

    def _run(self, verb: Callable[..., Update], name: str, config_file: Path | None) -> Update:
        environment = stacks.ensure_stack(self.pulumi, self.environment, CHECKOUT, name, config_file=config_file)
        with self._report.stage(name) as stage:
            return verb(stack.Engine(self.pulumi, environment, CHECKOUT), name, stage)


@pytest.fixture(scope="session")
def deployed(kubeconfig: Path, local_settings: LocalSettings) -> Stacks:
    return Stacks(local_settings)


@pytest.fixture(scope="session")
def core(kubeconfig: Path) -> client.CoreV1Api:
    return client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))


@dataclass(frozen=True)
class Run:
    name: str

    @property
    def stack(self) -> str:
        return f"train-local-{self.name}"


@pytest.fixture
def new_run(deployed: Stacks) -> Iterator[Callable[[str], Run]]:
    with runs_of(deployed) as use:
        yield use


@contextmanager
def runs_of(deployed: Stacks) -> Iterator[Callable[[str], Run]]:
    """Names a run whose stack's resources, record and file are removed afterwards.

    Checkpoints outlive their stack, and a run that finds its own complete trains nothing: every name is a new one.
    """
    runs: list[Run] = []

    def use(about: str) -> Run:
        runs.append(Run(f"{about}-{secrets.token_hex(3)}"))
        return runs[-1]

    try:
        yield use
    finally:
        for name in [run.stack for run in runs]:
            file = CHECKOUT / "stacks" / f"Pulumi.{name}.yaml"
            if file.exists():
                with _logged(name):
                    deployed.destroy(name)
                deployed.remove(name)
                file.unlink()


@contextmanager
def _logged(name: str) -> Iterator[None]:
    print(f"cleaning up {name}")
    yield
