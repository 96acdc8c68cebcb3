"""What can go wrong, each with the sentence that a person reads."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import botocore.exceptions as botocore
import grpc


class AwsError(Exception):
    """The account refuses, or cannot be asked; nothing was changed."""


class UnsupportedError(Exception):
    """Only the official provider can do this."""


def code_of(error: botocore.ClientError) -> str:
    return str(_detail(error).get("Code", ""))


def _detail(error: botocore.ClientError) -> dict[str, Any]:
    answer: dict[str, Any] = error.response  # pyright: ignore[reportAssignmentType] - some stubs have it typed
    return answer.get("Error") or {}


def is_missing(error: botocore.ClientError) -> bool:
    """Whether what was asked for is not there, which each service says in its own way."""
    code = code_of(error)
    known = (
        "404", "NoSuchEntity", "NoSuchBucket", "NotFoundException", "ResourceNotFoundException", "NoSuchTagSet",
        "RepositoryNotFoundException", "LifecyclePolicyNotFoundException", "DBInstanceNotFound",
        "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "DBSubnetGroupNotFoundFault",
        "NoSuchBucketPolicy", "NoSuchLifecycleConfiguration", "NoSuchPublicAccessBlockConfiguration",
        "ServerSideEncryptionConfigurationNotFoundError", "OwnershipControlsNotFoundError",
    )  # fmt: skip
    return code in known or code.endswith((".NotFound", "NotFound", "NotFoundFault", "NotFoundException"))


def sentence(error: Exception) -> str:
    """Without the request's ids and without its parameters, which may be secret."""
    if isinstance(error, botocore.ClientError):
        detail = _detail(error)
        return f"{error.operation_name}: {detail.get('Message') or 'refused'} ({code_of(error) or 'no code'})"
    if isinstance(error, botocore.EndpointConnectionError):
        return f"{error}. Is the simulated account running?"
    return str(error)


_CODES: dict[type[Exception], grpc.StatusCode] = {
    AwsError: grpc.StatusCode.FAILED_PRECONDITION,
    UnsupportedError: grpc.StatusCode.UNIMPLEMENTED,
    botocore.ClientError: grpc.StatusCode.INVALID_ARGUMENT,
    botocore.BotoCoreError: grpc.StatusCode.FAILED_PRECONDITION,
}
EXPECTED = tuple(_CODES)


@contextmanager
def told(context: Any) -> Generator[None]:
    """Ends the call with a sentence for every failure that is a person's business; others are bugs and stay loud."""
    try:
        yield
    except EXPECTED as error:
        status = next(code for kind, code in _CODES.items() if isinstance(error, kind))
        context.abort(status, sentence(error))
