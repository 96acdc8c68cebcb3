"""From exceptions to gRPC statuses: one clean sentence for the person, and the object's state where there is one."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from google.protobuf import struct_pb2
from pulumi.runtime.proto import provider_pb2, status_pb2

from local.engine.kubernetes import inputs, outputs
from local.engine.kubernetes.awaiting import NotGoneError
from local.engine.kubernetes.connection import ConfigurationError
from local.engine.kubernetes.errors import ApiError, ClusterUnreachableError, NoSuchKindError
from local.engine.kubernetes.helm import HelmError
from local.engine.kubernetes.identity import UnsupportedError, name_of
from local.engine.kubernetes.operations import OperationError
from local.engine.kubernetes.values import Path, ValueRefusedError
from local.engine.kubernetes.waits.custom import WaitForError

# FAILED_PRECONDITION and INVALID_ARGUMENT tell the engine that nothing was changed, so that its state stays certain.
_CODES: dict[type[Exception], grpc.StatusCode] = {
    ApiError: grpc.StatusCode.INVALID_ARGUMENT,
    ClusterUnreachableError: grpc.StatusCode.FAILED_PRECONDITION,
    ConfigurationError: grpc.StatusCode.INVALID_ARGUMENT,
    HelmError: grpc.StatusCode.FAILED_PRECONDITION,
    NoSuchKindError: grpc.StatusCode.FAILED_PRECONDITION,
    NotGoneError: grpc.StatusCode.DEADLINE_EXCEEDED,
    OperationError: grpc.StatusCode.FAILED_PRECONDITION,
    UnsupportedError: grpc.StatusCode.UNIMPLEMENTED,
    ValueRefusedError: grpc.StatusCode.INVALID_ARGUMENT,
    WaitForError: grpc.StatusCode.INVALID_ARGUMENT,
}
EXPECTED = tuple(_CODES)


def abort(context: grpc.ServicerContext, error: Exception, message: str) -> NoReturn:
    context.abort(_CODES[type(error)], message)
    raise AssertionError("abort does not return")


class _InitFailedStatus(grpc.Status):
    def __init__(self, details: str, trailing: tuple[tuple[str, bytes], ...]) -> None:
        self.code = grpc.StatusCode.UNKNOWN
        self.details = details
        self.trailing_metadata = trailing


def abort_not_ready(
    context: grpc.ServicerContext,
    identifier: str,
    state: struct_pb2.Struct,
    declared: struct_pb2.Struct,
    reasons: Sequence[str],
) -> NoReturn:
    """The object exists: the engine keeps it in the state, shows the reasons and tries again with the next update."""
    detail = provider_pb2.ErrorResourceInitFailed(id=identifier, properties=state, inputs=declared, reasons=reasons)
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reasons[0])
    status.details.add().Pack(detail)
    trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    context.abort_with_status(_InitFailedStatus(reasons[0], trailing))
    raise AssertionError("abort does not return")


def describe_api_error(error: Exception, values: Mapping[str, Any]) -> str:
    """The message with the object's kind and name in front, unless it names it already."""
    name = name_of(values)
    text = str(error)
    if not isinstance(error, ApiError) or (name and f'"{name}"' in text):
        return text
    return f"{values.get('kind', 'object')} {name}: {text}" if name else text


@contextmanager
def told(context: Any, values: Mapping[str, Any], secrets: frozenset[Path]) -> Generator[None]:
    """Ends the call with a sentence for every failure that is a person's business; others are bugs and stay loud."""
    try:
        yield
    except EXPECTED as error:
        message = describe_api_error(error, values)
        kind = str(values.get("kind") or "")
        marked = inputs.secret_paths(values, kind, secrets)
        abort(context, error, outputs.redacted(message, outputs.values_at(values, marked)))
