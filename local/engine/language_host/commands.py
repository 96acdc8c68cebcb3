"""The command lines that start programs and plugins, and the environment that carries their configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.engine.language_host.interpreter import Interpreter

EXECUTOR = Path(__file__).with_name("executor.py")


@dataclass(frozen=True)
class ProgramRun:
    """One run of a program, as the engine asks for it (RunRequest), with paths made absolute."""

    project: str
    stack: str
    organization: str
    root_directory: Path
    program: Path
    """The program's folder (then its `__main__.py` runs) or file."""
    working_directory: Path
    arguments: Sequence[str]
    monitor_address: str
    engine_address: str
    parallel: int
    dry_run: bool
    config: Mapping[str, str]
    config_secret_keys: Sequence[str]


def run_command(interpreter: Interpreter, run: ProgramRun) -> list[str]:
    options = {
        "monitor": run.monitor_address,
        "engine": run.engine_address,
        "project": run.project,
        "stack": run.stack,
        "organization": run.organization,
        "root_directory": str(run.root_directory),
        "pwd": str(run.working_directory),
        "parallel": str(run.parallel),
        "dry_run": "true" if run.dry_run else "false",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [str(interpreter.executable), "-u", str(EXECUTOR), *flags, str(run.program), *run.arguments]


def run_environment(interpreter: Interpreter, run: ProgramRun, base: Mapping[str, str]) -> dict[str, str]:
    """Configuration goes by environment, never by arguments: every user of the machine can read those with `ps`."""
    return {
        **interpreter.environment(base),
        "PULUMI_CONFIG": json.dumps(dict(run.config)),
        "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(run.config_secret_keys)),
    }


def plugin_command(interpreter: Interpreter, kind: str, directory: Path, arguments: Sequence[str]) -> list[str]:
    """A policy pack (`analyzer`) is served by the SDK; anything else is a program that serves itself."""
    python = [str(interpreter.executable), "-u"]
    if kind == "analyzer":
        return [*python, "-m", "pulumi.policy", *arguments, str(directory)]
    return [*python, str(directory), *arguments]


def typecheck_command(interpreter: Interpreter, typechecker: str, program: Path) -> list[str]:
    folder = program if program.is_dir() else program.parent
    return [str(interpreter.executable), "-m", typechecker, str(folder)]
