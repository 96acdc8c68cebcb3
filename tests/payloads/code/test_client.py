"""The client against a server on this machine that answers by the code of the endpoints."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from payloads.client import Digits, RequestError, UnavailableError
from payloads.serving.answers import OneAnswer
from payloads.serving.http import JsonApi, Route
from payloads.serving.schemas import Parsed, PredictRequest, parse

PIXELS = [0.0] * 64


class Endpoint:
    """Answers as an endpoint does, after the answers in `first`, each given once; keeps the ids it was asked with."""

    def __init__(self, first: list[Response | float]) -> None:
        self.first = first
        self.ids: list[str] = []
        route = Route(
            "/predict", "", lambda body: parse(body, 2), self.predict, PredictRequest.model_json_schema(), None
        )
        self.api = JsonApi([route], 10_000)

    async def predict(self, parsed: Parsed, request_id: str) -> bytes:
        one: dict[str, Any] = {"label": "0", "confidence": 1.0}
        body = one if parsed.single else {"predictions": [one] * len(parsed.rows)}
        return json.dumps({**body, "model_version": "7", "request_id": request_id}).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.ids.append(dict(scope["headers"])[b"x-request-id"].decode())
            if self.first:
                said = self.first.pop(0)
                if isinstance(said, Response):
                    await said(scope, receive, send)
                    return
                time.sleep(said)
        await self.api(scope, receive, send)


@contextmanager
def serving(*first: Response | float) -> Iterator[tuple[str, Endpoint]]:
    endpoint = Endpoint(list(first))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(endpoint, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", endpoint
        finally:
            server.should_exit = True
            thread.join()


def full(**headers: str) -> Response:
    return JSONResponse({"error": "busy", "request_id": "x"}, 503, headers)


def test_answers_are_typed():
    with serving() as (url, endpoint), Digits(url) as digits:
        one = digits.predict(PIXELS)
        assert one == OneAnswer(label="0", confidence=1.0, model_version="7", request_id=endpoint.ids[0])
        assert [each.label for each in digits.predict_many([PIXELS, PIXELS]).predictions] == ["0", "0"]


def test_a_server_that_is_full_is_asked_again_when_it_says_under_the_same_id():
    with serving(full(**{"retry-after": "1"}), full()) as (url, endpoint), Digits(url) as digits:
        started = time.monotonic()
        assert digits.predict(PIXELS).label == "0"
        assert time.monotonic() - started >= 1
        assert len(endpoint.ids) == 3
        assert len(set(endpoint.ids)) == 1


@pytest.mark.parametrize(
    ("pixels", "status", "words"),
    [([1.0], 422, "64 items"), ([float(index) for index in range(64)], 422, "pixels[17]")],
)
def test_what_was_refused_is_not_sent_again(pixels: list[float], status: int, words: str):
    with serving() as (url, endpoint), Digits(url) as digits:
        with pytest.raises(RequestError, match="request ") as refused:
            digits.predict(pixels)
        assert refused.value.status == status
        assert words in str(refused.value)
        assert [refused.value.request_id] == endpoint.ids


def test_a_servers_defect_is_not_repeated():
    with serving(JSONResponse({"error": "failed", "request_id": "x"}, 500)) as (url, endpoint), Digits(url) as digits:
        with pytest.raises(RequestError, match="failed"):
            digits.predict(PIXELS)
        assert len(endpoint.ids) == 1


@pytest.mark.parametrize("first", [(full(**{"retry-after": "60"}),), (3.0,)], ids=["full", "slow"])
def test_the_deadline_holds_for_all_attempts_together(first: tuple[Response | float, ...]):
    with serving(*first) as (url, _), Digits(url, deadline_s=0.5) as digits:
        started = time.monotonic()
        with pytest.raises(UnavailableError, match=r"gave no answer within 0\.5 s"):
            digits.predict(PIXELS)
        assert time.monotonic() - started < 3


def test_a_server_that_is_away_is_waited_for_and_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Digits(url, deadline_s=0.3) as digits, pytest.raises(UnavailableError, match="refused"):
            digits.predict(PIXELS)


def test_an_answer_of_something_else_is_said():
    with (
        serving(JSONResponse({"hello": "there"})) as (url, _),
        Digits(url) as digits,
        pytest.raises(RequestError, match="is no OneAnswer"),
    ):
        digits.predict(PIXELS)


def test_a_deadline_that_cannot_be_kept_is_refused():
    with pytest.raises(ValueError, match="deadline_s is 0"):
        Digits("http://127.0.0.1:1", deadline_s=0)
