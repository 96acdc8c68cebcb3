"""Messages to the person, through the engine."""

from __future__ import annotations

import threading
from typing import Protocol

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc


class Messages(Protocol):
    def status(self, urn: str, text: str) -> None:
        """Shown on the resource's line until the next one."""
        ...

    def warning(self, urn: str, text: str) -> None: ...


class EngineMessages:
    """A message that cannot be delivered is dropped: the engine may be on its way out, the work goes on."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._engine = engine_pb2_grpc.EngineStub(self._channel)
        self._lock = threading.Lock()
        self._last: dict[str, str] = {}

    def status(self, urn: str, text: str) -> None:
        with self._lock:
            if self._last.get(urn, "") == text:
                return
            self._last[urn] = text
        self._log(urn, text, engine_pb2.INFO, ephemeral=True)

    def warning(self, urn: str, text: str) -> None:
        self._log(urn, text, engine_pb2.WARNING, ephemeral=False)

    def _log(self, urn: str, text: str, severity: engine_pb2.LogSeverity.ValueType, *, ephemeral: bool) -> None:
        request = engine_pb2.LogRequest(severity=severity, message=text, urn=urn, ephemeral=ephemeral)
        try:
            self._engine.Log(request, timeout=5)
        except grpc.RpcError:
            return
