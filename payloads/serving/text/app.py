"""Summaries over HTTP: `payloads.serving.text.app:app`.

Two deployments: `text` reads requests and sends answers and needs a CPU, `writer` generates and may have a GPU. Where a
client goes away or a deadline passes, the generation ends too.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from ray import serve
from ray.serve.config import BackpressureConfig
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import LoggingConfig
from starlette.types import ASGIApp

from payloads.serving import http
from payloads.serving.http import Failure, JsonApi, RefusedError, Route
from payloads.serving.text import schemas
from payloads.serving.text.generate import End, Piece, TooLong
from payloads.serving.text.schemas import Asked, TextArgs, WriterCard, event
from payloads.serving.text.writer import Writer

logger = logging.getLogger("ray.serve")
QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)
# The writer ends by itself at its deadline; this much later it is given up.
GRACE_S = 1.0
Answered = tuple[str, Piece | End]


class Text:
    """The ingress: it has no model, only a handle to one."""

    def __init__(self, args: TextArgs, writer: DeploymentHandle) -> None:
        self.args = args
        self.writer = writer
        self.writes = writer.options(stream=True)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        route = Route(
            path="/summarise",
            summary="The summary of a text",
            parse=partial(schemas.parse, most=self.args.max_new_tokens),
            answer=self.answer,
            request_schema=schemas.SummariseRequest.model_json_schema(),
            response_model=schemas.SummariseAnswer,
            deadline_s=self.args.deadline_s + 2 * GRACE_S,
        )
        api = JsonApi([route], self.args.max_body_bytes, title="Summaries")
        failures = (400, 413, 415, 422, 500, 504)
        api.add_api_route(
            "/summarise/stream",
            self.stream,
            methods=["POST"],
            summary="The same as server-sent events: `piece` {text} any number of times, then `end` or `error` once",
            response_class=StreamingResponse,
            responses={
                200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
                **{status: {"model": Failure} for status in failures},
                503: {"description": "too many requests are waiting; Retry-After says when to come back"},
            },
            openapi_extra={
                "requestBody": {"required": True, "content": {"application/json": {"schema": route.request_schema}}}
            },
        )
        api.add_api_route("/model", self.describe, methods=["GET"], summary="What is being served")
        api.add_api_route("/generations", self.tally, methods=["GET"], summary="What a writer has done so far")
        return api

    async def answer(self, asked: Asked, request_id: str) -> bytes:
        """The whole summary; raises RefusedError."""
        pieces: list[str] = []
        parts = self._parts(asked)
        try:
            async for version, part in parts:
                if isinstance(part, End):
                    return json.dumps(_ended("".join(pieces), version, part, request_id)).encode()
                pieces.append(part.text)
        finally:
            await parts.aclose()
        raise RuntimeError("the writer ended without an end")

    async def stream(self, request: Request) -> Response:
        """What can be refused before the first piece is refused as everywhere; after it comes an error event."""
        request_id = http.request_id_of(request.scope)
        try:
            http.check_headers(request.scope, self.args.max_body_bytes)
            body = await http.read_body(request.receive, self.args.max_body_bytes)
            parts = self._parts(schemas.parse(body, self.args.max_new_tokens))
            first = await anext(parts)
        except RefusedError as refusal:
            content = http.failure(refusal.sentence, request_id, refusal.code)
            return Response(content, refusal.status, dict(refusal.headers), media_type="application/json")
        events = _events(first, parts, request_id)
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store"})

    async def describe(self) -> WriterCard:
        return WriterCard(**await self.writer.card.remote())

    async def tally(self) -> dict[str, int]:
        return await self.writer.tally.remote()

    async def _parts(self, asked: Asked) -> AsyncGenerator[Answered]:
        """Version and part, the last one an End; raises RefusedError with 422 or 504. Closing it ends the writing."""
        deadline = time.monotonic() + self.args.deadline_s + GRACE_S
        replies = self.writes.write.remote(asked.text, asked.max_new_tokens, self.args.deadline_s)
        late = RefusedError(504, f"the summary was not complete within {self.args.deadline_s:g} s")
        ended = False
        try:
            while True:
                try:
                    version, part = await asyncio.wait_for(anext(replies), deadline - time.monotonic())
                except TimeoutError:
                    raise late from None
                if isinstance(part, TooLong):
                    most = self.args.max_input_tokens
                    raise RefusedError(422, f"text: it has {part.tokens} tokens, more than {most}")
                if isinstance(part, End) and part.finish == "late":
                    raise late
                ended = isinstance(part, End)
                yield version, part
                if ended:
                    return
        finally:
            if not ended:
                replies.cancel()


async def _events(first: Answered, parts: AsyncGenerator[Answered], request_id: str) -> AsyncGenerator[bytes]:
    pieces: list[str] = []
    try:
        version, part = first
        while isinstance(part, Piece):
            pieces.append(part.text)
            yield event("piece", {"text": part.text})
            version, part = await anext(parts)
        yield event("end", _ended("".join(pieces), version, part, request_id))
    except RefusedError as refusal:
        yield event("error", {"error": refusal.sentence, "status": refusal.status, "request_id": request_id})
    except Exception:
        logger.exception("request %s failed", request_id)
        yield event("error", {"error": http.SERVER_FAILED, "status": 500, "request_id": request_id})
    finally:
        await parts.aclose()


def _ended(summary: str, version: str, end: End, request_id: str) -> dict[str, Any]:
    return {
        "summary": summary.strip(),
        "tokens": end.tokens,
        "finish": end.finish,
        "model_version": version,
        "request_id": request_id,
    }


# The classes stay plain ones, so that Ray ships their import paths to the replicas and not their code. A writer takes
# few requests at once: each more slows all, and what waits costs nothing.
writer_deployment = serve.deployment(
    name="writer", max_ongoing_requests=4, graceful_shutdown_timeout_s=60, health_check_period_s=5,
    health_check_timeout_s=30, logging_config=QUIET,
)(Writer)  # fmt: skip
deployment = serve.deployment(
    name="text", max_ongoing_requests=32, max_queued_requests=32, graceful_shutdown_timeout_s=60,
    backpressure_config=BackpressureConfig(status_code=503, retry_after_s=1),
    health_check_period_s=5, health_check_timeout_s=10, logging_config=QUIET,
)(serve.ingress()(Text))  # fmt: skip


def app(args: dict[str, Any] | TextArgs) -> serve.Application:
    """Build the application from `args` of serveConfigV2 (see TextArgs)."""
    settings = TextArgs.model_validate(args)
    return deployment.bind(settings, writer_deployment.bind(settings))
