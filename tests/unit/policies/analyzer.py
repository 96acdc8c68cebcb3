"""The pack in a process of its own, asked over the protocol by which the engine asks it."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from google.protobuf import struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

PROJECT = Path(__file__).resolve().parents[3]
PACK = PROJECT / "policies"
# How the engine writes a text that is not known before the update.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIZES = [("grpc.max_receive_message_length", 400 << 20), ("grpc.max_send_message_length", 400 << 20)]
ADVISORY, MANDATORY = analyzer_pb2.ADVISORY, analyzer_pb2.MANDATORY


@dataclass(frozen=True)
class Said:
    """One diagnostic of the pack; `level` is ADVISORY or MANDATORY."""

    rule: str
    message: str
    level: int
    urn: str


class Analyzer:
    """A running pack, told that it judges `stack`."""

    def __init__(self, stack: str, pack: Path = PACK, **variables: str) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "MANTA_"))}
        self.stack = stack
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:1", str(pack)],
            cwd=PROJECT, env={**environment, **variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout
        port = self.process.stdout.readline().strip()
        self.started = port.isdigit()
        if not self.started:
            return
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=_SIZES)
        self.stub = analyzer_pb2_grpc.AnalyzerStub(self._channel)
        self.configure(stack)

    def configure(self, stack: str) -> None:
        self.stack = stack
        self.stub.ConfigureStack(analyzer_pb2.AnalyzerStackConfigureRequest(stack=stack, project="manta"))

    def __enter__(self) -> Analyzer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.started:
            self._channel.close()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate()

    def errors(self) -> str:
        """What a pack that did not start has printed."""
        return self.process.communicate(timeout=10)[1]

    def urn(self, kind: str, name: str) -> str:
        return f"urn:pulumi:{self.stack}::manta::{kind}::{name}"

    def resource(
        self, kind: str, props: Mapping[str, Any], name: str = "it", provider: Mapping[str, Any] | None = None
    ) -> list[Said]:
        """What the pack says of one resource, whose provider has the inputs `provider`."""
        request = analyzer_pb2.AnalyzeRequest(type=kind, urn=self.urn(kind, name), name=name, properties=_struct(props))
        if provider is not None:
            request.provider.CopyFrom(analyzer_pb2.AnalyzerProviderResource(properties=_struct(provider)))
        return _said(self.stub.Analyze(request))

    def whole(self, resources: Mapping[str, tuple[str, Mapping[str, Any]]]) -> list[Said]:
        """What the pack says of a stack that consists of `resources`, by name."""
        listed = [
            analyzer_pb2.AnalyzerResource(type=kind, urn=self.urn(kind, name), name=name, properties=_struct(props))
            for name, (kind, props) in resources.items()
        ]
        return _said(self.stub.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=listed)))


def kind_of(manifest: Mapping[str, Any]) -> str:
    """The type that pulumi-kubernetes gives a manifest."""
    version = manifest["apiVersion"]
    return f"kubernetes:{version if '/' in version else f'core/{version}'}:{manifest['kind']}"


def changed(value: Mapping[str, Any], path: str, new: Any) -> dict[str, Any]:
    """A copy of `value` with `new` at `path` (parts separated by /, numbers index lists); None takes it out."""
    result = copy.deepcopy(dict(value))
    place: Any = result
    *parts, last = [int(part) if part.isdigit() else part.replace("~", "/") for part in path.split("/")]
    for part in parts:
        place = place[part] if isinstance(part, int) or part in place else place.setdefault(part, {})
    if new is None:
        del place[last]
    else:
        place[last] = new
    return result


def _struct(props: Mapping[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(dict(props))
    return message


def _said(response: Any) -> list[Said]:
    return [Said(each.policyName, each.message, each.enforcementLevel, each.urn) for each in response.diagnostics]
