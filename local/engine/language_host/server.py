"""The LanguageRuntime service, as the engine calls it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from local.engine.language_host import commands, install
from local.engine.language_host.interpreter import (
    HostError,
    Interpreter,
    parse_options,
)
from local.engine.language_host.process import Children
from local.engine.language_host.requests import directories_of, interpreter_of, options_of, probe, program_run

ALREADY_REPORTED = 32
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
            options, interpreter = interpreter_of(request.info)
            run = program_run(request, self._engine_address)
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
            _, interpreter = interpreter_of(request.info)
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
        root, program = directories_of(request.info)
        try:
            options = parse_options(options_of(request.info), program)
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
            for found in probe(request.info, "packages", context)
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
            for found in probe(request.info, "packages", context)
        ]
        return language_pb2.GetRequiredPluginsResponse(plugins=plugins)

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:  # noqa: N802
        question = "all-distributions" if request.transitiveDependencies else "distributions"
        dependencies = [
            language_pb2.DependencyInfo(name=found["name"], version=found["version"])
            for found in probe(request.info, question, context)
        ]
        return language_pb2.GetProgramDependenciesResponse(dependencies=dependencies)

    def About(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = probe(request.info, "about", context)
        return language_pb2.AboutResponse(
            executable=answer["executable"],
            version=answer["version"],
            metadata={"host": "the Python language host of Manta"},
        )
