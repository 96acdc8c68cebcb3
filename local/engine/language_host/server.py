"""The LanguageRuntime service, as the engine calls it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from local.engine.language_host import commands, install
from local.engine.language_host.interpreter import (
    HostError,
    Interpreter,
    RuntimeOptions,
    find_interpreter,
    parse_options,
)
from local.engine.language_host.process import Children

ALREADY_REPORTED = 32
PROBE = Path(__file__).with_name("probe.py")
VERSION = "3.259.0"


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Starts every program, policy pack and plugin as a child with the interpreter of its own runtime options."""

    def __init__(self, engine_address: str) -> None:
        self._engine_address = engine_address
        self._children = Children()

    def close(self) -> None:
        self._children.stop_all(closing=True)

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return plugin_pb2.PluginInfo(version=VERSION)

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        self._children.stop_all(closing=False)
        return empty_pb2.Empty()

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            if request.attach_debugger:
                raise HostError("--attach-debugger needs Pulumi's official Python language host.")
            options, interpreter = _interpreter(request.info)
            run = _program_run(request, self._engine_address)
            if options.typechecker and (error := self._typecheck(interpreter, options.typechecker, run)):
                return language_pb2.RunResponse(error=error)
            # The child inherits stdout and stderr: the engine shows each line of them.
            child = self._children.start(
                commands.run_command(interpreter, run),
                cwd=run.working_directory,
                environment=commands.run_environment(interpreter, run, os.environ),
                capture=False,
            )
        except (HostError, RuntimeError, OSError) as error:
            return language_pb2.RunResponse(error=str(error))
        context.add_callback(child.stop)
        try:
            code = child.wait()
        finally:
            self._children.forget(child)
        if child.stopped or code == ALREADY_REPORTED:
            return language_pb2.RunResponse(bail=True)
        if code < 0:
            return language_pb2.RunResponse(error=f"The program was killed by signal {-code}.")
        return language_pb2.RunResponse(error=f"The program exited with code {code}." if code else "")

    def _typecheck(self, interpreter: Interpreter, typechecker: str, run: commands.ProgramRun) -> str | None:
        child = self._children.start(
            commands.typecheck_command(interpreter, typechecker, run.program),
            cwd=run.root_directory,
            environment=interpreter.environment(os.environ),
            capture=False,
        )
        code = child.wait()
        self._children.forget(child)
        return f"{typechecker} found errors in {run.program} (option typechecker in Pulumi.yaml)." if code else None

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        directory = Path(request.info.program_directory)
        try:
            _, interpreter = _interpreter(request.info)
            environment = dict(entry.split("=", 1) for entry in request.env if "=" in entry)
            child = self._children.start(
                commands.plugin_command(interpreter, request.kind, directory, list(request.args)),
                cwd=Path(request.pwd or directory),
                environment=interpreter.environment({**os.environ, **environment}),
                capture=True,
            )
        except (HostError, RuntimeError, OSError) as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{directory}: {error}")
            return
        context.add_callback(child.stop)
        try:
            for stream, data in child.output():
                yield (
                    language_pb2.RunPluginResponse(stdout=data)
                    if stream == "stdout"
                    else language_pb2.RunPluginResponse(stderr=data)
                )
            yield language_pb2.RunPluginResponse(exitcode=child.wait())
        finally:
            self._children.forget(child)

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        root, program = _directories(request.info)
        try:
            options = parse_options(_options(request.info), program)
            steps = install.plan(options, program, root)
            for step in steps:
                yield language_pb2.InstallDependenciesResponse(stdout=f"{step.title}\n".encode())
                child = self._children.start(step.command, cwd=step.directory, environment=os.environ, capture=True)
                context.add_callback(child.stop)
                for stream, data in child.output():
                    yield language_pb2.InstallDependenciesResponse(**{stream: data})
                code = child.wait()
                self._children.forget(child)
                if code:
                    raise HostError(f"`{' '.join(step.command)}` failed with exit code {code}.")
        except (HostError, RuntimeError, OSError) as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: N802
        packages = [
            plugin_pb2.PackageDependency(
                name=str(found["name"]),
                kind="resource",
                version=str(found.get("version") or ""),
                server=str(found.get("server") or ""),
            )
            for found in _probe(request.info, "packages", context)
        ]
        return language_pb2.GetRequiredPackagesResponse(packages=packages)

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:  # noqa: N802
        plugins = [
            plugin_pb2.PluginDependency(
                name=str(found["name"]),
                kind="resource",
                version=str(found.get("version") or ""),
                server=str(found.get("server") or ""),
            )
            for found in _probe(request.info, "packages", context)
        ]
        return language_pb2.GetRequiredPluginsResponse(plugins=plugins)

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:  # noqa: N802
        question = "all-distributions" if request.transitiveDependencies else "distributions"
        dependencies = [
            language_pb2.DependencyInfo(name=found["name"], version=found["version"])
            for found in _probe(request.info, question, context)
        ]
        return language_pb2.GetProgramDependenciesResponse(dependencies=dependencies)

    def About(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = _probe(request.info, "about", context)
        return language_pb2.AboutResponse(
            executable=answer["executable"],
            version=answer["version"],
            metadata={"host": "the Python language host of Manta"},
        )


def _options(info: Any) -> dict[str, Any]:
    return json_format.MessageToDict(info.options)


def _directories(info: Any) -> tuple[Path, Path]:
    program = Path(info.program_directory or ".").resolve()
    return Path(info.root_directory or program).resolve(), program


def _interpreter(info: Any) -> tuple[RuntimeOptions, Interpreter]:
    root, program = _directories(info)
    options = parse_options(_options(info), program)
    return options, find_interpreter(options, root)


def _program_run(request: Any, engine_address: str) -> commands.ProgramRun:
    root, directory = _directories(request.info)
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


def _probe(info: Any, question: str, context: Any) -> Any:
    """Ask the program's own interpreter; the host's may have other packages."""
    try:
        _, interpreter = _interpreter(info)
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
