"""The one form of failure that every application has, whoever refuses: a route of ours, FastAPI, or a defect."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import Scope

SERVER_FAILED = "the server failed on this request: its log tells why"
_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class Failure(BaseModel):
    """Every answer other than 2xx that an application gives."""

    error: str = Field(description="what is wrong with the request, in one sentence")
    code: str = Field(description="the kind of failure, for programs: it stays when the sentence is worded anew")
    request_id: str


class RefusedError(Exception):
    """The request cannot be served: an HTTP status and one sentence that repeats nothing of the body.

    `code` is the failure's kind, by default that of its status; `headers` go with the answer.
    """

    def __init__(
        self, status: int, sentence: str, code: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.code = code or code_of(status)
        self.headers = dict(headers or {})


def request_id_of(scope: Scope) -> str:
    """The client's x-request-id if it is harmless in a header, a log and a JSON text; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SAFE_ID.fullmatch(value):
            return value.decode()
    return uuid.uuid4().hex


def failure(sentence: str, request_id: str, code: str = "refused") -> bytes:
    return json.dumps({"error": sentence, "code": code, "request_id": request_id}).encode()


def code_of(status: int) -> str:
    """The kind of a failure of which no more is known than its status."""
    return _CODES.get(status, "refused")


_CODES = {
    400: "not_json",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "content_type",
    422: "invalid",
    429: "rate_limited",
    500: "server_failed",
    503: "unavailable",
    504: "deadline",
}
_SENTENCES = {
    404: "there is no such path: see /openapi.json",
    405: "this path does not take that method",
    503: "the model does not compute",
}


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for nothing else
    sentence = _SENTENCES.get(error.status_code, "the request cannot be served")
    body = failure(sentence, request_id_of(request.scope), code_of(error.status_code))
    return Response(body, error.status_code, headers=error.headers, media_type="application/json")


async def _invalid(request: Request, error: Exception) -> Response:
    """A parameter of a route that FastAPI answers. Its own answer would repeat what was sent."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for nothing else
    place, message = error.errors()[0]["loc"], error.errors()[0]["msg"]
    body = failure(f"{place[-1]}: {message[:1].lower()}{message[1:]}", request_id_of(request.scope), code_of(422))
    return Response(body, 422, media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101  registered for nothing else
    body = failure(error.sentence, request_id_of(request.scope), error.code)
    return Response(body, error.status, error.headers, media_type="application/json")


async def _server_error(request: Request, _error: Exception) -> Response:
    body = failure(SERVER_FAILED, request_id_of(request.scope), code_of(500))
    return Response(body, 500, media_type="application/json")


def handle_all(api: FastAPI) -> None:
    """Have what FastAPI itself refuses or fails on answered in this form."""
    api.add_exception_handler(HTTPException, _http_error)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(RefusedError, _refused)
    api.add_exception_handler(Exception, _server_error)
