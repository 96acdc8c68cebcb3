"""The provider as the engine sees it: its process, its port, its calls, and the messages that it sends back."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Mapping
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2

from local.engine.kubernetes.identity import parse_type
from local.engine.kubernetes.values import SECRET_SIGNATURE, SIGNATURE_KEY, UNKNOWN_STRING, decode

PLUGIN = Path(__file__).resolve().parents[3] / "local" / "engine" / "bin" / "pulumi-resource-kubernetes"
SEED = b"\x01" * 64


class RecordingEngine(engine_pb2_grpc.EngineServicer):
    def __init__(self) -> None:
        self.messages: list[tuple[int, str]] = []

    def Log(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        self.messages.append((request.severity, request.message))
        return empty_pb2.Empty()

    def texts(self) -> str:
        return "\n".join(text for _, text in self.messages)


@dataclass(frozen=True)
class Created:
    """A resource as the engine keeps it in the state."""

    urn: str
    type: str
    id: str
    inputs: struct_pb2.Struct
    state: struct_pb2.Struct

    @property
    def value(self) -> dict[str, Any]:
        return decode(self.state).value


class InitFailed(Exception):  # noqa: N818
    """The object exists and is not ready."""

    def __init__(self, details: provider_pb2.ErrorResourceInitFailed) -> None:
        super().__init__("; ".join(details.reasons))
        self.details = details


@dataclass
class Provider:
    """Calls as the engine makes them: Check before anything else, states handed on unchanged."""

    stub: provider_pb2_grpc.ResourceProviderStub
    process: subprocess.Popen[str]
    engine: RecordingEngine
    server: grpc.Server
    scope: str = "shared"
    """Part of every URN: a provider remembers which resources it has seen, and tests must not see each other's."""

    def urn(self, token: str, name: str) -> str:
        return f"urn:pulumi:{self.scope}::engine-tests::{token}::{name}"

    def check(
        self, token: str, inputs: Mapping[str, Any], *, name: str = "r", old: Any = None, seed: bytes = SEED
    ) -> Any:
        gvk = parse_type(token).gvk if "Patch" not in token else None
        complete = {**({"apiVersion": gvk.api_version, "kind": gvk.kind} if gvk else {}), **inputs}
        return self.stub.Check(
            provider_pb2.CheckRequest(
                urn=self.urn(token, name), type=token, news=struct(complete), olds=old, randomSeed=seed
            )
        )

    def create(
        self, token: str, inputs: Mapping[str, Any], *, name: str = "r", preview: bool = False, timeout: float = 0
    ) -> Created:
        checked = self.check(token, inputs, name=name)
        assert not checked.failures, checked.failures
        urn = self.urn(token, name)
        request = provider_pb2.CreateRequest(
            urn=urn, type=token, properties=checked.inputs, preview=preview, timeout=timeout
        )
        answer = _unpacked(lambda: self.stub.Create(request))
        return Created(urn, token, answer.id, checked.inputs, answer.properties)

    def diff(self, old: Created, inputs: Mapping[str, Any], *, name: str = "r") -> Any:
        checked = self.check(old.type, inputs, name=name, old=old.inputs)
        return self.stub.Diff(
            provider_pb2.DiffRequest(
                id=old.id, urn=old.urn, type=old.type, olds=old.state, old_inputs=old.inputs, news=checked.inputs
            )
        )

    def update(
        self,
        old: Created,
        inputs: Mapping[str, Any],
        *,
        name: str = "r",
        preview: bool = False,
        timeout: float = 0,
        ignore: tuple[str, ...] = (),
    ) -> Created:
        checked = self.check(old.type, inputs, name=name, old=old.inputs)
        assert not checked.failures, checked.failures
        request = provider_pb2.UpdateRequest(
            id=old.id, urn=old.urn, type=old.type, olds=old.state, old_inputs=old.inputs, news=checked.inputs,
            preview=preview, timeout=timeout, ignoreChanges=list(ignore),
        )  # fmt: skip
        answer = _unpacked(lambda: self.stub.Update(request))
        return Created(old.urn, old.type, old.id, checked.inputs, answer.properties)

    def read(self, old: Created) -> Any:
        return self.stub.Read(
            provider_pb2.ReadRequest(id=old.id, urn=old.urn, type=old.type, properties=old.state, inputs=old.inputs)
        )

    def get(self, token: str, identifier: str) -> Any:
        return self.stub.Read(provider_pb2.ReadRequest(id=identifier, urn=self.urn(token, "get"), type=token))

    def delete(self, old: Created, *, timeout: float = 0) -> None:
        self.stub.Delete(
            provider_pb2.DeleteRequest(
                id=old.id, urn=old.urn, type=old.type, properties=old.state, old_inputs=old.inputs, timeout=timeout
            )
        )

    def cancel(self) -> None:
        self.stub.Cancel(empty_pb2.Empty())


def _unpacked(call: Any) -> Any:
    try:
        return call()
    except grpc.RpcError as error:
        for key, value in error.trailing_metadata() or ():  # type: ignore[attr-defined]
            if key == "grpc-status-details-bin":
                status = status_pb2.Status.FromString(value)
                details = provider_pb2.ErrorResourceInitFailed()
                assert status.details[0].Unpack(details)
                raise InitFailed(details) from None
        raise


def struct(content: Mapping[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(json.loads(json.dumps(content)))
    return message


def secret(value: Any) -> dict[str, Any]:
    return {SIGNATURE_KEY: SECRET_SIGNATURE, "value": value}


UNKNOWN = UNKNOWN_STRING


def start(kubeconfig: Path, arguments: Mapping[str, Any] | None = None, **environment: str) -> Provider:
    """A configured provider process; end it with `stop`."""
    engine = RecordingEngine()
    server = grpc.server(futures.ThreadPoolExecutor(8))
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    process = subprocess.Popen(
        [str(PLUGIN), f"127.0.0.1:{port}"],
        env={**os.environ, "KUBECONFIG": str(kubeconfig), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    address = f"127.0.0.1:{int(process.stdout.readline())}"
    threading.Thread(target=process.stdout.read, daemon=True).start()
    options = [("grpc.max_receive_message_length", 400 << 20), ("grpc.max_send_message_length", 400 << 20)]
    stub = provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(address, options=options))
    stub.Configure(provider_pb2.ConfigureRequest(args=struct(arguments or {})), wait_for_ready=True)
    return Provider(stub, process, engine, server)


def stop(provider: Provider) -> None:
    provider.process.send_signal(2)
    assert provider.process.wait(10) == 0
