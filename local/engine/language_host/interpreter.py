"""Which Python runs a program: the runtime options of its Pulumi.yaml, read as the official language host does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOOLCHAINS = ("pip", "uv", "poetry")
TYPECHECKERS = ("mypy", "pyright")


class HostError(Exception):
    """A failure that is told to the person in one sentence, without a traceback."""


@dataclass(frozen=True)
class RuntimeOptions:
    """`runtime.options` of a Pulumi.yaml, PulumiPolicy.yaml or PulumiPlugin.yaml."""

    virtualenv: str | None
    """As written: absolute, or relative to the folder of the yaml file. None: no environment of its own."""
    toolchain: str
    typechecker: str | None


@dataclass(frozen=True)
class Interpreter:
    """A Python executable and the environment folder that it belongs to, if any."""

    executable: Path
    virtualenv: Path | None

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """`base` with the virtual environment activated, as `bin/activate` would do it."""
        environment = dict(base)
        if self.virtualenv is not None:
            path = environment.get("PATH", os.defpath)
            environment["PATH"] = f"{self.virtualenv / 'bin'}{os.pathsep}{path}"
            environment["VIRTUAL_ENV"] = str(self.virtualenv)
            environment.pop("PYTHONHOME", None)
        return environment


def parse_options(options: Mapping[str, Any], program_directory: Path) -> RuntimeOptions:
    """Check `runtime.options`; a wrong value is a HostError that names the option.

    Without `toolchain` a uv.lock or poetry.lock in the program's folder or above decides, else pip.
    """
    virtualenv = options.get("virtualenv")
    if virtualenv is not None and not isinstance(virtualenv, str):
        raise HostError("The runtime option virtualenv must be a string: the path of a virtual environment.")
    toolchain = options.get("toolchain")
    if toolchain is None:
        toolchain = _toolchain_of_lock_file(program_directory)
    if toolchain not in TOOLCHAINS:
        raise HostError(f"The runtime option toolchain is {toolchain!r}; it can be {', '.join(TOOLCHAINS)}.")
    typechecker = options.get("typechecker")
    if typechecker in (None, "", "none"):
        typechecker = None
    elif typechecker not in TYPECHECKERS:
        raise HostError(f"The runtime option typechecker is {typechecker!r}; it can be {', '.join(TYPECHECKERS)}.")
    return RuntimeOptions(virtualenv=virtualenv or None, toolchain=toolchain, typechecker=typechecker)


def _toolchain_of_lock_file(directory: Path) -> str:
    for folder in (directory, *directory.parents):
        for toolchain in ("uv", "poetry"):
            if (folder / f"{toolchain}.lock").exists():
                return toolchain
    return "pip"


def environment_folder(options: RuntimeOptions, root_directory: Path) -> Path | None:
    """The virtual environment that the options name, existing or not; uv's default is `.venv`."""
    if options.toolchain == "poetry":
        raise HostError("The toolchain poetry needs Pulumi's official language host; use toolchain: uv or pip.")
    name = options.virtualenv or (".venv" if options.toolchain == "uv" else None)
    return root_directory / name if name else None


def find_interpreter(options: RuntimeOptions, root_directory: Path) -> Interpreter:
    """The Python for a program. HostError when the virtual environment is missing or broken."""
    folder = environment_folder(options, root_directory)
    if folder is None:
        command = os.environ.get("PULUMI_PYTHON_CMD")
        found = shutil.which(command) if command else shutil.which("python3") or shutil.which("python")
        if found is None:
            raise HostError(f"No Python on PATH ({command or 'python3'}): install it or set PULUMI_PYTHON_CMD.")
        return Interpreter(Path(found), None)
    executable = folder / "bin" / "python"
    if not executable.exists():
        state = "is not a virtual environment" if folder.is_dir() else "does not exist"
        raise HostError(
            f"The virtualenv option names {folder}, which {state}: run `pulumi install` to create it and install "
            "the requirements into it."
        )
    return Interpreter(executable, folder)
