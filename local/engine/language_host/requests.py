"""What the engine's requests say, read into the host's own terms."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format

from local.engine.language_host import commands
from local.engine.language_host.interpreter import (
    HostError,
    Interpreter,
    RuntimeOptions,
    find_interpreter,
    parse_options,
)

PROBE = Path(__file__).with_name("probe.py")


def options_of(info: Any) -> dict[str, Any]:
    return json_format.MessageToDict(info.options)


def directories_of(info: Any) -> tuple[Path, Path]:
    program = Path(info.program_directory or ".").resolve()
    return Path(info.root_directory or program).resolve(), program


def interpreter_of(info: Any) -> tuple[RuntimeOptions, Interpreter]:
    root, program = directories_of(info)
    options = parse_options(options_of(info), program)
    return options, find_interpreter(options, root)


def program_run(request: Any, engine_address: str) -> commands.ProgramRun:
    root, directory = directories_of(request.info)
    return commands.ProgramRun(
        project=request.project,
        stack=request.stack,
        organization=request.organization or "organization",
        root_directory=root,
        program=directory / (request.info.entry_point or "."),
        working_directory=Path(request.pwd or directory),
        arguments=list(request.args),
        monitor_address=request.monitor_address,
        engine_address=engine_address,
        parallel=request.parallel,
        dry_run=request.dryRun,
        config=dict(request.config),
        config_secret_keys=list(request.configSecretKeys),
    )


def probe(info: Any, question: str, context: Any) -> Any:
    """Ask the program's own interpreter; the host's may have other packages."""
    try:
        _, interpreter = interpreter_of(info)
        result = subprocess.run(
            [str(interpreter.executable), str(PROBE), question],
            env=interpreter.environment(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (HostError, OSError, subprocess.TimeoutExpired) as error:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        raise
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{interpreter.executable} does not run: {reason}")
    return json.loads(result.stdout)
