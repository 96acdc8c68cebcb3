"""The HTTP side that every serving pattern has in common: strict JSON in, one form of failure out, limits on all of it.

FastAPI documents every route; a hot route is answered before its machinery, which would cost more than many a model.
All else (documentation, 404, 405, the other routes) is plain FastAPI.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from payloads.serving.failures import SERVER_FAILED, Failure, RefusedError, code_of, failure, handle_all, request_id_of

logger = logging.getLogger("ray.serve")  # Ray Serve writes it to the replica's log file
Value = TypeVar("Value")
_JSON = (b"content-type", b"application/json")


@dataclass(frozen=True)
class Route:
    """A hot route, `POST path`.

    `parse` turns a body into what `answer` takes and raises RefusedError; `answer` gets that and the request's id and
    gives the body of a 200. What takes longer than `deadline_s` is ended with 504. `refusals` are further statuses that
    either may refuse with, for the documentation. A body that is no JSON names its `content_types`, and in `smaller`
    what to do about one that is too large.

    `admit`, where there is one, gets the headers (names in lower case) before any of the body is read and raises
    RefusedError; what it gives goes to `answer` as a third argument. `documentation` is merged into the operation.
    """

    path: str
    summary: str
    parse: Callable[[bytes], Any]
    answer: Callable[..., Awaitable[bytes]]
    request_schema: dict[str, Any]
    response_model: Any
    deadline_s: float | None = None
    refusals: Mapping[int, str] = field(default_factory=dict)
    content_types: tuple[str, ...] = ("application/json",)
    smaller: str = "send the rows in several requests"
    admit: Callable[[Mapping[str, str]], Awaitable[Any]] | None = None
    documentation: Mapping[str, Any] = field(default_factory=dict)


class JsonApi(FastAPI):
    """FastAPI with a short way for its hot routes."""

    def __init__(self, routes: Sequence[Route], max_body_bytes: int, **rest: Any) -> None:
        # The documentation pages load scripts from the internet; the schema itself does not.
        super().__init__(docs_url=None, redoc_url=None, **rest)
        self.hot = {route.path: route for route in routes}
        self.max_body_bytes = max_body_bytes
        handle_all(self)
        for route in routes:
            self._document(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self.hot.get(_path(scope)) if scope["type"] == "http" and scope["method"] == "POST" else None
        if route is None:
            await super().__call__(scope, receive, send)
            return
        await _send(send, *await self._respond(route, scope, receive))

    async def _respond(self, route: Route, scope: Scope, receive: Receive) -> tuple[int, bytes, Mapping[str, str]]:
        request_id = request_id_of(scope)
        try:
            admitted = () if route.admit is None else (await _within(route.deadline_s, route.admit(_headers(scope))),)
            check_headers(scope, self.max_body_bytes, route.content_types, route.smaller)
            body = await read_body(receive, self.max_body_bytes, route.smaller)
            answer = route.answer(route.parse(body), request_id, *admitted)
            return 200, await _within(route.deadline_s, answer), {}
        except RefusedError as refusal:
            return refusal.status, failure(refusal.sentence, request_id, refusal.code), refusal.headers
        except Exception:  # a defect, or a failed batch: the client learns that, the log learns why
            logger.exception("request %s failed", request_id)
            return 500, failure(SERVER_FAILED, request_id, code_of(500)), {}

    def _document(self, route: Route) -> None:
        async def documented(request: Request) -> Response:
            status, body, headers = await self._respond(route, request.scope, request.receive)
            return Response(body, status, headers, media_type="application/json")

        refusals = (
            _REFUSALS
            | dict(route.refusals)
            | ({504: "the answer took too long"} if route.deadline_s is not None else {})
        )
        self.add_api_route(
            route.path,
            documented,
            methods=["POST"],
            summary=route.summary,
            response_model=route.response_model,
            responses=_responses(refusals),
            openapi_extra={
                "requestBody": {
                    "required": True,
                    "content": {kind: {"schema": route.request_schema} for kind in route.content_types},
                },
                **route.documentation,
            },
        )


def secured(api: FastAPI, schemes: Mapping[str, Any]) -> None:
    """Name `schemes` in the OpenAPI of `api`, so that an operation's `security` may refer to them."""
    plain = api.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        document.setdefault("components", {})["securitySchemes"] = dict(schemes)
        return document

    api.openapi = openapi  # type: ignore[method-assign]


def _responses(refusals: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    found: dict[int | str, dict[str, Any]] = {
        status: {"model": Failure, "description": text} for status, text in refusals.items()
    }
    # Ray's proxy answers 503 in plain text where all replicas are full.
    found[503].setdefault("content", {})["text/plain"] = {"schema": {"type": "string"}}
    for status, each in found.items():
        if status in (409, 429, 503):
            each["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return found


_REFUSALS = {
    400: "the body is not JSON",
    413: "the body is too large",
    415: "the body is not declared as application/json",
    422: "the body is JSON of another form",
    500: "the server failed",
    503: "too many requests are waiting; Retry-After says when to come back",
}


async def _within(deadline_s: float | None, answer: Awaitable[Value]) -> Value:
    """`answer`, or a refusal with 504. A time-out of the answer's own that comes before is a defect like any other."""
    if deadline_s is None:
        return await answer
    try:
        async with asyncio.timeout(deadline_s) as limit:
            return await answer
    except TimeoutError:
        if limit.expired():
            raise RefusedError(504, f"there was no answer within {deadline_s:g} s") from None
        raise


def check_headers(
    scope: Scope,
    max_body_bytes: int,
    content_types: Sequence[str] = Route.content_types,
    smaller: str = Route.smaller,
) -> None:
    """Refuse what the headers alone give away, before any of the body is read."""
    content_type = length = b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            length = value
    if content_type.split(b";", 1)[0].strip().lower().decode("latin-1") not in content_types:
        raise RefusedError(415, f"the content type is not {' or '.join(content_types)}")
    if length.isdigit() and int(length) > max_body_bytes:
        raise _too_large(max_body_bytes, smaller)


async def read_body(receive: Receive, max_body_bytes: int, smaller: str = Route.smaller) -> bytes:
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
            raise _too_large(max_body_bytes, smaller)
        if not message.get("more_body", False) and not parts:
            return part
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _path(scope: Scope) -> str:
    return scope["path"].removeprefix(scope.get("root_path", ""))


def _too_large(limit: int, smaller: str) -> RefusedError:
    return RefusedError(413, f"the body is larger than {limit} bytes: {smaller}")


async def _send(send: Send, status: int, body: bytes, more: Mapping[str, str]) -> None:
    headers = [_JSON, (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in more.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
