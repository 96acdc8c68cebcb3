"""`pulumi install`: the commands that create a program's virtual environment and fill it."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from local.engine.language_host.interpreter import HostError, RuntimeOptions, environment_folder


@dataclass(frozen=True)
class Step:
    """One command, run in `directory`, announced to the person by `title`."""

    title: str
    command: tuple[str, ...]
    directory: Path


def find_upwards(name: str, directory: Path, root: Path) -> Path | None:
    """The nearest file of that name from `directory` up to `root`."""
    for folder in (directory, *directory.parents):
        if (folder / name).is_file():
            return folder / name
        if folder == root:
            return None
    return None


def base_python() -> str:
    return os.environ.get("PULUMI_PYTHON_CMD") or shutil.which("python3") or sys.executable


def find_uv(environment: Path) -> str | None:
    beside = environment / "bin" / "uv"
    return str(beside) if beside.exists() else shutil.which("uv")


def plan(options: RuntimeOptions, program: Path, root: Path) -> list[Step]:
    """What to run, in order. HostError when there is nowhere to install to."""
    environment = environment_folder(options, root)
    if environment is None:
        raise HostError(
            "There is no virtual environment to install into: set `runtime.options.virtualenv` (say `.venv`) in "
            f"{root / 'Pulumi.yaml'}."
        )
    if options.toolchain == "uv":
        return _plan_uv(environment, program, root)
    steps: list[Step] = []
    python = environment / "bin" / "python"
    if not python.exists():
        command = (base_python(), "-m", "venv", str(environment))
        steps.append(Step(f"Creating virtual environment {environment}", command, root))
    requirements = find_upwards("requirements.txt", program, root)
    if requirements is not None:
        command = (str(python), "-m", "pip", "install", "-r", str(requirements))
        steps.append(Step(f"Installing {requirements}", command, requirements.parent))
    return steps


def _plan_uv(environment: Path, program: Path, root: Path) -> list[Step]:
    uv = find_uv(environment)
    if uv is None:
        raise HostError("The toolchain option is uv, but uv is not on PATH: install it (`pip install uv`).")
    project = find_upwards("pyproject.toml", program, root)
    requirements = find_upwards("requirements.txt", program, root)
    if project is not None and (requirements is None or (project.parent / "uv.lock").exists()):
        return [Step(f"Syncing {project.parent} into {environment}", (uv, "sync"), project.parent)]
    steps: list[Step] = []
    if not (environment / "bin" / "python").exists():
        command = (uv, "venv", "--python", base_python(), str(environment))
        steps.append(Step(f"Creating virtual environment {environment}", command, root))
    if requirements is not None:
        python = str(environment / "bin" / "python")
        command = (uv, "pip", "install", "--python", python, "-r", str(requirements))
        steps.append(Step(f"Installing {requirements}", command, requirements.parent))
    return steps
