"""The HTTP side by itself: no Ray, no model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from requests_table import BAD_REQUESTS, GOOD, JSON, MARKER, Bad

from payloads.serving.api import Api
from payloads.serving.schemas import Parsed


async def _answer(parsed: Parsed, request_id: str) -> bytes:
    return json.dumps({"rows": parsed.rows.tolist(), "single": parsed.single, "request_id": request_id}).encode()


API = Api(_answer, max_body_bytes=1 << 20, max_rows=1024, deadline_s=10)


def call(method: str, path: str, **request: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(API, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **request)

    return asyncio.run(go())


@pytest.mark.parametrize("bad", BAD_REQUESTS, ids=lambda bad: bad.name)
def test_a_bad_request_gets_one_sentence_and_no_echo(bad: Bad):
    headers = {"content-type": bad.content_type} if bad.content_type else {}
    answer = call("POST", "/predict", content=bad.body, headers=headers)
    assert answer.status_code == bad.status, answer.text
    failure = answer.json()
    assert bad.words in failure["error"]
    assert "\n" not in failure["error"]
    assert len(failure["error"]) < 200
    assert MARKER not in answer.text
    assert failure["request_id"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/predict", 405), ("POST", "/nope", 404)])
def test_unknown_paths_and_methods_fail_in_the_same_form(method: str, path: str, status: int):
    answer = call(method, path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "code", "request_id"}


def test_one_row_and_many_rows_arrive_as_float32_matrices():
    assert call("POST", "/predict", json={"pixels": GOOD}).json()["single"] is True
    many = call("POST", "/predict", json={"rows": [GOOD, [16] * 64, [0.5] * 64]}).json()
    assert many["single"] is False
    assert [row[0] for row in many["rows"]] == [0.0, 16.0, 0.5]


def test_the_content_type_may_carry_a_charset():
    body = json.dumps({"pixels": GOOD}).encode()
    answer = call("POST", "/predict", content=body, headers={"content-type": "Application/JSON; charset=utf-8"})
    assert answer.status_code == 200


def test_a_chunked_body_is_cut_off_at_the_limit():
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1 << 16
            yield b" " * (1 << 16)

    answer = call("POST", "/predict", content=endless(), headers={"content-type": JSON})
    assert answer.status_code == 413
    assert sent < 2 << 20, "the rest of the body must not be read into memory"


def test_a_harmless_request_id_is_kept_and_another_is_replaced():
    body = {"pixels": GOOD}
    assert call("POST", "/predict", json=body, headers={"x-request-id": "a-1.b"}).json()["request_id"] == "a-1.b"
    replaced = call("POST", "/predict", json=body, headers={"x-request-id": 'a","label":"9'}).json()
    assert len(replaced["request_id"]) == 32


def test_the_schema_documents_every_status_that_the_hot_route_gives():
    schema = call("GET", "/openapi.json").json()
    predict = schema["paths"]["/predict"]["post"]
    assert {bad.status for bad in BAD_REQUESTS} | {200, 503} <= {int(status) for status in predict["responses"]}
    body = predict["requestBody"]["content"]["application/json"]["schema"]
    assert {"pixels", "rows"} <= set(body["properties"])


def test_a_defect_is_a_500_that_tells_nothing():
    async def broken(_parsed: Parsed, _request_id: str) -> bytes:
        raise RuntimeError(MARKER)

    async def go() -> httpx.Response:
        api = Api(broken, max_body_bytes=1 << 20, max_rows=1024, deadline_s=10)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(api, raise_app_exceptions=False), base_url="http://test"
        ) as client:
            return await client.post("/predict", json={"pixels": GOOD})

    answer = asyncio.run(go())
    assert answer.status_code == 500
    assert "its log tells why" in answer.json()["error"]
    assert MARKER not in answer.text


def test_an_answer_that_takes_too_long_is_a_504():
    async def slow(_parsed: Parsed, _request_id: str) -> bytes:
        await asyncio.sleep(30)
        return b""

    async def go() -> httpx.Response:
        api = Api(slow, max_body_bytes=1 << 20, max_rows=1024, deadline_s=0.05)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://test") as client:
            return await client.post("/predict", json={"pixels": GOOD})

    answer = asyncio.run(go())
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline")
    assert "within 0.05 s" in answer.json()["error"]
