"""Whatever is sent to an endpoint, it answers as its OpenAPI says, and repeats nothing of what it refuses."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from endpoints import ENDPOINTS, Endpoint, Surroundings
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import just
from quick import Quick
from requests_table import JSON, MARKER
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
BOUNDED = settings(
    max_examples=20, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


class Caller:
    """One event loop for all requests to an endpoint, as in a replica."""

    def __init__(self, endpoint: Endpoint, around: Surroundings) -> None:
        self.endpoint = endpoint
        self.runner = asyncio.Runner()
        self.app = self.runner.run(self._made(around))
        self.document = self.call("GET", "/openapi.json").json()

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **request)

        return self.runner.run(go())

    def post(self, path: str, content: Any, kind: str = JSON) -> httpx.Response:
        headers = {**self.endpoint.credentials, **self.endpoint.headers, **({"content-type": kind} if kind else {})}
        return self.call("POST", path, content=content, headers=headers)

    async def _made(self, around: Surroundings) -> Any:
        return self.endpoint.app(around)


@pytest.fixture(scope="module", params=ENDPOINTS, ids=lambda endpoint: endpoint.name)
def caller(request: pytest.FixtureRequest, quick: Quick, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with pytest.MonkeyPatch.context() as patch:
        made = Caller(request.param, Surroundings(quick, tmp_path_factory.mktemp("endpoint"), patch))
        yield made
        made.runner.close()


def operations(caller: Caller) -> list[Any]:
    """What the schema describes. Every request gets the endpoint's credentials, so it is not to think of any."""
    document = copy.deepcopy(caller.document)
    for each in (each for methods in document["paths"].values() for each in methods.values()):
        each.pop("security", None)
    schema = schemathesis.openapi.from_dict(document)
    return [found.ok() for found in schema.get_all_operations()]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
def test_an_endpoint_answers_only_as_its_schema_says(caller: Caller, mode: GenerationMode):
    for operation in operations(caller):
        if mode == GenerationMode.POSITIVE or operation.body or list(operation.iter_parameters()):
            BOUNDED(given(just(caller), operation.as_strategy(generation_mode=mode))(ask))()


def ask(caller: Caller, case: Any) -> None:
    """Send what schemathesis has thought of, and have it look at the answer."""
    request = case.as_transport_kwargs(base_url="http://test")
    sent = httpx.Request(
        request["method"],
        request["url"],
        params=request.get("params"),
        headers=dict(request.get("headers") or {}),
        json=request.get("json"),
        content=request.get("data"),
    )
    answer = caller.call(
        sent.method, str(sent.url), content=sent.read(), headers={**sent.headers, **caller.endpoint.credentials}
    )
    beyond = case.operation.path in caller.endpoint.beyond
    case.validate_response(answer, checks=CHECKS if beyond else [*CHECKS, checks.positive_data_acceptance])


def paths(caller: Caller) -> dict[str, dict[str, Any]]:
    """A good body for each POST path."""
    posts = {path for path, methods in caller.document["paths"].items() if "post" in methods}
    assert posts - caller.endpoint.beyond <= set(caller.endpoint.good), "the table has a good body for each"
    return dict(caller.endpoint.good)


def test_the_good_body_of_each_path_is_taken(caller: Caller):
    for path, body in paths(caller).items():
        answer = caller.post(path, json.dumps(body))
        assert answer.status_code == 200, answer.text


BROKEN = {
    "empty": (b"", JSON, 400),
    "broken": (b'{"a":[1,2', JSON, 400),
    "text": (MARKER.encode(), JSON, 400),
    "invalid utf-8": (b'{"\xff\xfe":1}', JSON, 400),
    "lone surrogate": (b'{"\\ud800":1}', JSON, 400),
    "deep": (b"[" * 5000, JSON, 400),
    "two": (b"{}{}", JSON, 400),
    "array": (json.dumps([MARKER]).encode(), JSON, 422),
    "null": (b"null", JSON, 422),
    "other key": (json.dumps({MARKER: MARKER}).encode(), JSON, 422),
    "large": (b" " * (2 << 20), JSON, 413),
    "form": (b"a=1", "application/x-www-form-urlencoded", 415),
    "no type": (b"{}", "", 415),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_body_that_is_no_request_gets_its_status_and_no_echo(caller: Caller, name: str):
    content, kind, status = BROKEN[name]
    for path in paths(caller):
        refused(caller.post(path, content, kind), status)


def test_a_body_without_a_length_is_cut_off(caller: Caller):
    for path in paths(caller):
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(200):
                sent += 1 << 16
                yield b" " * (1 << 16)

        refused(caller.post(path, endless()), 413)
        assert sent <= (1 << 20) + (2 << 16)


WRONG = ["NaN", "Infinity", "-Infinity", "1e999", "-" + "9" * 400, f'"{MARKER}"', "null", "true", "{}", "[[]]"]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong[:12])
def test_every_number_and_text_of_a_request_is_checked(caller: Caller, wrong: str):
    """Each leaf of the good body in turn is something that no schema here takes in its place."""
    for path, body in paths(caller).items():
        for place in leaves(body):
            text = json.dumps(replaced(body, place, "@")).replace('"@"', wrong)
            answer = caller.post(path, text.encode())
            assert answer.status_code in (400, 404, 422), (place, answer.text)
            refused(answer, answer.status_code)


def test_every_limit_is_documented(caller: Caller):
    for path in paths(caller):
        responses = caller.document["paths"][path]["post"]["responses"]
        assert {"200", "400", "413", "415", "422", "503", "504"} <= set(responses)
        assert "Retry-After" in responses["503"]["headers"]


def refused(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error", "code", "request_id"}
    assert MARKER not in answer.text
    assert len(answer.json()["error"]) < 200


def leaves(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Places of the texts and numbers in `value`; of a long list the first and the last."""
    if isinstance(value, dict):
        return [leaf for key, each in value.items() for leaf in leaves(each, (*place, key))]
    if isinstance(value, list):
        return [leaf for number in {0, len(value) - 1} for leaf in leaves(value[number], (*place, number))]
    return [place]


def replaced(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    head, *rest = place
    inner = replaced(value[head], tuple(rest), new)
    return {**value, head: inner} if isinstance(value, dict) else [*value[:head], inner, *value[head + 1 :]]
