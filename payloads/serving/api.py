"""The HTTP side: FastAPI documents every route; `POST /predict` is answered before its machinery.

Routing, dependency solving and response models cost FastAPI more than this model costs the CPU, so the hot route goes
straight from bytes to rows to bytes. All else (documentation, 404, 405, the other routes) is plain FastAPI.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from payloads.serving import schemas
from payloads.serving.schemas import Parsed, RefusedError

logger = logging.getLogger("ray.serve")  # Ray Serve writes it to the replica's log file
Answer = Callable[[Parsed, str], Awaitable[bytes]]
PREDICT = "/predict"
SERVER_FAILED = "the server failed on this request: its log tells why"
_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_JSON = (b"content-type", b"application/json")


class Api(FastAPI):
    """FastAPI with a short way for the hot route."""

    def __init__(self, answer: Answer, max_body_bytes: int, max_rows: int, **rest: Any) -> None:
        # The documentation pages load scripts from the internet; the schema itself does not.
        super().__init__(docs_url=None, redoc_url=None, **rest)
        self.answer = answer
        self.max_body_bytes = max_body_bytes
        self.max_rows = max_rows
        self.add_exception_handler(HTTPException, _http_error)
        self.add_exception_handler(Exception, _server_error)
        self.add_api_route(
            PREDICT,
            self._documented_predict,
            methods=["POST"],
            summary="Recognise one image or several",
            response_model=schemas.OneAnswer | schemas.ManyAnswers,
            responses={
                **{status: {"model": schemas.Failure, "description": text} for status, text in _REFUSALS.items()},
                503: {"description": "too many requests are waiting; Retry-After says when to come back"},
            },
            openapi_extra={
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": schemas.PredictRequest.model_json_schema()}},
                }
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and _path(scope) == PREDICT:
            status, body = await self._predict(scope, receive)
            await _send(send, status, body)
        else:
            await super().__call__(scope, receive, send)

    async def _predict(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        request_id = request_id_of(scope)
        try:
            check_headers(scope, self.max_body_bytes)
            body = await read_body(receive, self.max_body_bytes)
            return 200, await self.answer(schemas.parse(body, self.max_rows), request_id)
        except RefusedError as refusal:
            return refusal.status, failure(refusal.sentence, request_id)
        except Exception:  # a defect, or a failed batch: the client learns that, the log learns why
            logger.exception("request %s failed", request_id)
            return 500, failure(SERVER_FAILED, request_id)

    async def _documented_predict(self, request: Request) -> Response:
        status, body = await self._predict(request.scope, request.receive)
        return Response(body, status, media_type="application/json")


_REFUSALS = {
    400: "the body is not JSON",
    413: "the body is too large",
    415: "the body is not declared as application/json",
    422: "the body is JSON of another form",
}


def check_headers(scope: Scope, max_body_bytes: int) -> None:
    """Refuse what the headers alone give away, before any of the body is read."""
    content_type = length = b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            length = value
    if content_type.split(b";", 1)[0].strip().lower() != b"application/json":
        raise RefusedError(415, "the content type is not application/json")
    if length.isdigit() and int(length) > max_body_bytes:
        raise _too_large(max_body_bytes)


async def read_body(receive: Receive, max_body_bytes: int) -> bytes:
    """The whole body; a chunked one has no length to check beforehand and is cut off at the limit."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "the connection was closed before the body was complete")
        part = message.get("body", b"")
        size += len(part)
        if size > max_body_bytes:
            raise _too_large(max_body_bytes)
        if not message.get("more_body", False) and not parts:
            return part
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def request_id_of(scope: Scope) -> str:
    """The client's x-request-id if it is harmless in a header, a log and a JSON text; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SAFE_ID.fullmatch(value):
            return value.decode()
    return uuid.uuid4().hex


def failure(sentence: str, request_id: str) -> bytes:
    return json.dumps({"error": sentence, "request_id": request_id}).encode()


def _path(scope: Scope) -> str:
    return scope["path"].removeprefix(scope.get("root_path", ""))


def _too_large(limit: int) -> RefusedError:
    return RefusedError(413, f"the body is larger than {limit} bytes: send the rows in several requests")


async def _send(send: Send, status: int, body: bytes) -> None:
    headers = [_JSON, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


_SENTENCES = {
    404: "there is no such path: see /openapi.json",
    405: "this path does not take that method",
    503: "the model does not compute",
}


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for nothing else
    sentence = _SENTENCES.get(error.status_code, "the request cannot be served")
    body = failure(sentence, request_id_of(request.scope))
    return Response(body, error.status_code, headers=error.headers, media_type="application/json")


async def _server_error(request: Request, _error: Exception) -> Response:
    body = failure(SERVER_FAILED, request_id_of(request.scope))
    return Response(body, 500, media_type="application/json")
