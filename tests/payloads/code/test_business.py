"""The decision service in one process: its own HTTP code, ledger, database and carrier client, and a real carrier."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from carrier_server import PRICE, CarrierServer
from endpoints import Handle
from quick import Quick
from requests_table import MARKER

from payloads.common.errors import PayloadError
from payloads.serving.business import keys
from payloads.serving.business.breaker import Breaker, OpenError
from payloads.serving.business.decisions import postgresql_url
from payloads.serving.business.ingress import Business
from payloads.serving.business.ledger import VARIABLE, Ledger
from payloads.serving.business.rules import UNKNOWN, Decision, History, Rules, Zone, before_price, with_price
from payloads.serving.business.settings import BusinessArgs

KEY, ENTRY = keys.make("acme")
OTHER_KEY, OTHER_ENTRY = keys.make("other")
HEADERS = {"x-api-key": KEY, "idempotency-key": "first", "content-type": "application/json"}


class Reader:
    """A member without Ray: the quickly trained model. `slow_s` is what a busy one takes."""

    def __init__(self, quick: Quick) -> None:
        self.quick = quick
        self.slow_s = 0.0

    async def card(self) -> dict[str, Any]:
        return {"classes": list(self.quick.classes), "model_version": "7"}

    async def probabilities(self, rows: np.ndarray) -> np.ndarray:
        await asyncio.sleep(self.slow_s)
        return self.quick.probabilities(rows)


@pytest.fixture(autouse=True)
def known_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keys.VARIABLE, f"{ENTRY}, {OTHER_ENTRY}")


@pytest.fixture
def carrier() -> Iterator[CarrierServer]:
    server = CarrierServer()
    yield server
    server.stop()


class Service:
    """The service with a file of its own; `parcel` is one whose digit is read without doubt."""

    def __init__(self, folder: Path, carrier: CarrierServer, quick: Quick) -> None:
        self.path = folder / "decisions.sqlite"
        self.carrier = carrier
        self.reader = Reader(quick)
        self.features: Any = None
        sure = int(quick.probabilities(quick.pixels).max(axis=1).argmax())
        self.zone = quick.classes[quick.targets[sure]]
        self.parcel = {"weight_kg": 2, "declared_value_cents": 10_000, "pixels": quick.pixels[sure].tolist()}

    def run(self, script: Callable[[httpx.AsyncClient], Awaitable[Any]], **changes: Any) -> Any:
        """What `script` returns, given a client of a service with these arguments."""
        args = BusinessArgs.model_validate(
            {
                "carrier": {"url": self.carrier.url, "timeout_s": 5, "deadline_s": 10, **changes.pop("carrier", {})},
                "ledger": {"path": str(self.path), "busy_s": 5, **changes.pop("ledger", {})},
                "deadline_s": 20,
                "history_timeout_s": 5,
                **changes,
            }
        )

        async def go() -> Any:
            ledger = Handle(Ledger(args.ledger))
            business = Business(args, Handle(self.reader), ledger, self.features)  # type: ignore[arg-type]
            transport = httpx.ASGITransport(business.__serve_build_asgi_app__(), raise_app_exceptions=False)
            try:
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                    found = await script(client)
                    while business.tasks:  # what is given up is given up beside the request
                        await asyncio.wait(business.tasks)
                    return found
            finally:
                await business.carrier.close()

        return asyncio.run(go())

    def once(self, **changes: Any) -> httpx.Response:
        return self.run(lambda client: self.post(client), **changes)

    async def post(self, client: httpx.AsyncClient, key: str = "first", **parcel: Any) -> httpx.Response:
        return await client.post("/decisions", json=self.parcel | parcel, headers=HEADERS | {"idempotency-key": key})


@pytest.fixture
def service(tmp_path: Path, carrier: CarrierServer, quick: Quick) -> Service:
    return Service(tmp_path, carrier, quick)


def test_a_parcel_is_accepted_at_the_carriers_price_and_insurance(service: Service):
    answer = service.once()
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["outcome"], found["reason"], found["zone"]) == ("accepted", "within_the_rules", int(service.zone))
    assert found["price_cents"] == PRICE + 80, "8 per mille of 100.00"
    assert found["history_known"]
    assert found["model_version"] == "7"
    assert service.carrier.asked == [f"/quote?zone={service.zone}&weight_kg=2"]


def test_the_same_key_and_parcel_get_the_stored_answer_also_after_a_restart(service: Service):
    first = service.once()
    service.carrier.mode = "failing"
    turned = dict(reversed(service.parcel.items()))
    again = service.run(lambda client: client.post("/decisions", content=json.dumps(turned, indent=1), headers=HEADERS))
    assert (again.status_code, again.content) == (200, first.content)
    assert len(service.carrier.asked) == 1


def test_the_same_key_with_another_parcel_is_refused_and_other_clients_have_keys_of_their_own(service: Service):
    async def script(client: httpx.AsyncClient) -> list[httpx.Response]:
        other = HEADERS | {"x-api-key": OTHER_KEY}
        return [
            await service.post(client),
            await service.post(client, weight_kg=3),
            await client.post("/decisions", json=service.parcel | {"weight_kg": 3}, headers=other),
        ]

    first, reused, foreign = service.run(script)
    assert (first.status_code, reused.status_code, foreign.status_code) == (200, 422, 200)
    assert reused.json()["code"] == "idempotency_key_reused"


def test_duplicates_at_once_are_decided_once(service: Service):
    async def script(client: httpx.AsyncClient) -> list[httpx.Response]:
        return await asyncio.gather(*(service.post(client) for _ in range(12)))

    answers = service.run(script)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(service.carrier.asked) == 1


def test_a_duplicate_of_a_request_that_takes_long_is_told_to_come_again(service: Service):
    async def script(client: httpx.AsyncClient) -> list[httpx.Response]:
        service.reader.slow_s = 0.8
        return await asyncio.gather(service.post(client), service.post(client))

    statuses = {answer.status_code: answer for answer in service.run(script, deadline_s=1.0)}
    assert set(statuses) == {200, 409}
    assert statuses[409].json()["code"] == "being_decided"
    assert statuses[409].headers["retry-after"] == "1"


@pytest.mark.parametrize("headers", [{}, {"x-api-key": ""}, {"x-api-key": MARKER}, {"x-api-key": KEY[:-1]}])
def test_without_a_known_key_nothing_is_told_and_nothing_read(service: Service, headers: dict[str, str]):
    read = False

    async def body():
        nonlocal read
        read = True
        yield b"{}"

    kept = {name: value for name, value in HEADERS.items() if name != "x-api-key"}
    answer = service.run(lambda client: client.post("/decisions", content=body(), headers=kept | headers))
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthorized"
    assert "ApiKey" in answer.headers["www-authenticate"]
    assert MARKER not in answer.text
    assert not read


@pytest.mark.parametrize("key", [None, "", "a b", "x" * 129, "é"])
def test_without_an_idempotency_key_nothing_is_decided(service: Service, key: str | None):
    headers: dict[str, Any] = {name: value for name, value in HEADERS.items() if name != "idempotency-key"}
    if key is not None:
        headers["idempotency-key"] = key.encode("latin-1")
    answer = service.run(lambda client: client.post("/decisions", json=service.parcel, headers=headers))
    assert (answer.status_code, answer.json()["code"]) == (400, "no_idempotency_key")
    assert service.carrier.asked == []


def test_a_client_that_asks_too_often_is_told_when_to_come_back_and_others_are_not(service: Service):
    async def script(client: httpx.AsyncClient) -> list[httpx.Response]:
        own = [await service.post(client) for _ in range(3)]
        return [*own, await client.post("/decisions", json=service.parcel, headers=HEADERS | {"x-api-key": OTHER_KEY})]

    *_, second, third, other = service.run(script, ledger={"rate": "2/hour"})
    assert (second.status_code, third.status_code, other.status_code) == (200, 429, 200)
    assert third.json()["code"] == "rate_limited"
    assert 3500 < int(third.headers["retry-after"]) <= 3600


# How often each is asked: what may pass three times, and twice each where the connection breaks (see Carrier).
@pytest.mark.parametrize(
    ("mode", "times"), [("failing", 3), ("slow", 3), ("cut_off", 6), ("moved", 1), ("nonsense", 1), ("endless", 1)]
)
def test_a_carrier_that_gives_no_price_is_a_503_and_the_parcel_is_decided_when_it_does(
    service: Service, mode: str, times: int
):
    async def script(client: httpx.AsyncClient) -> list[httpx.Response]:
        service.carrier.mode = mode
        refused = await service.post(client)
        service.carrier.mode = "fine"
        return [refused, await service.post(client)]

    refused, decided = service.run(script, carrier={"timeout_s": 0.3 if mode == "slow" else 5})
    assert refused.status_code == 503, refused.text
    assert refused.json()["code"] == "carrier_unavailable"
    assert int(refused.headers["retry-after"]) >= 1
    assert len(service.carrier.asked) - 1 == times
    assert decided.status_code == 200


def test_a_carrier_that_is_not_there_is_a_503(service: Service):
    answer = service.once(carrier={"url": "http://127.0.0.1:9"})
    assert (answer.status_code, answer.json()["code"]) == (503, "carrier_unavailable")


def test_the_breaker_opens_after_failures_and_closes_when_the_carrier_is_back(service: Service):
    async def script(client: httpx.AsyncClient) -> tuple[int, list[httpx.Response]]:
        service.carrier.mode = "failing"
        before = [await service.post(client, key=f"a{number}") for number in range(3)]
        count = len(service.carrier.asked)
        service.carrier.mode = "fine"
        early = await service.post(client, key="b")
        await asyncio.sleep(0.5)
        later = [await service.post(client, key=f"c{number}") for number in range(2)]
        return count, [*before, early, *later]

    count, answers = service.run(script, carrier={"failures": 4, "open_s": 0.5})
    assert [answer.status_code for answer in answers] == [503, 503, 503, 503, 200, 200]
    assert count == 4, "two requests' attempts, and none after that"


def test_a_carrier_that_does_not_serve_the_zone_is_an_answer(service: Service):
    service.carrier.mode = "unserved"
    found = service.once().json()
    assert (found["outcome"], found["reason"], found["price_cents"]) == ("refused", "zone_not_served", None)


class SlowFeatures:
    async def history(self, client: str) -> History:  # noqa: ARG002
        await asyncio.sleep(5)
        return History()


class BrokenFeatures:
    async def history(self, client: str) -> History:  # noqa: ARG002
        raise ConnectionError


@pytest.mark.parametrize("features", [SlowFeatures(), BrokenFeatures()])
def test_a_feature_store_that_is_late_or_fails_is_done_without(service: Service, features: Any):
    async def script(client: httpx.AsyncClient) -> list[dict[str, Any]]:
        answers = [await service.post(client, key=str(value), declared_value_cents=value) for value in (50_000, 50_001)]
        return [answer.json() for answer in answers]

    service.features = features
    small, large = service.run(script, history_timeout_s=0.1)
    assert (small["outcome"], small["history_known"]) == ("accepted", False)
    assert (large["outcome"], large["reason"]) == ("review", "history_unknown")


def test_what_was_accepted_today_counts(service: Service):
    async def script(client: httpx.AsyncClient) -> list[str]:
        values = [(str(number), 200_000) for number in range(3)]
        return [(await service.post(client, key, declared_value_cents=value)).json()["reason"] for key, value in values]

    assert service.run(script) == ["within_the_rules", "within_the_rules", "value_of_the_day"]


def test_a_database_that_is_locked_is_a_503_and_works_again_afterwards(service: Service):
    async def script(client: httpx.AsyncClient) -> list[httpx.Response]:
        other = sqlite3.connect(service.path)
        other.execute("BEGIN EXCLUSIVE")
        refused = await asyncio.gather(*(service.post(client, key=str(number)) for number in range(8)))
        other.rollback()
        other.close()
        return [*refused, await service.post(client, key="0")]

    *refused, decided = service.run(script, ledger={"busy_s": 0.3})
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (503, "ledger_unavailable"), answer.text
        assert answer.headers["retry-after"] == "1"
    assert decided.status_code == 200


def test_a_request_that_takes_too_long_is_a_504_and_gives_its_key_up(service: Service):
    async def script(client: httpx.AsyncClient) -> list[httpx.Response]:
        service.reader.slow_s = 5
        late = await service.post(client)
        service.reader.slow_s = 0
        return [late, await service.post(client)]

    late, decided = service.run(script, deadline_s=0.6)
    assert (late.status_code, late.json()["code"]) == (504, "deadline")
    assert decided.status_code == 200


SURE, UNSURE = Zone(3, 0.99, "1"), Zone(3, 0.5, "1")


@pytest.mark.parametrize(
    ("weight_kg", "value_cents", "zone", "history", "reason"),
    [
        (31.5, 500_000, SURE, History(), None),
        (31.6, 0, SURE, History(), "too_heavy"),
        (1, 0, UNSURE, History(), "zone_unsure"),
        (1, 50_000, SURE, UNKNOWN, None),
        (1, 50_001, SURE, UNKNOWN, "history_unknown"),
        (1, 1, SURE, History(9, 499_999), None),
        (1, 2, SURE, History(9, 499_999), "value_of_the_day"),
    ],
)
def test_the_rules_say_what_is_decided_without_a_price(
    weight_kg: float, value_cents: int, zone: Zone, history: History, reason: str | None
):
    found = before_price(Rules(), weight_kg, value_cents, zone, history)
    assert (found.reason if found else None) == reason


def test_insurance_is_rounded_up_to_a_cent():
    assert with_price(Rules(), 1, 100) == Decision("accepted", "within_the_rules", 101)
    assert with_price(Rules(), 0, 100) == Decision("accepted", "within_the_rules", 100)


def test_a_breaker_lets_one_call_through_when_it_is_half_open():
    now = 0.0
    states: list[str] = []
    breaker = Breaker(2, 10, clock=lambda: now, tell=states.append)
    for _ in range(2):
        breaker.enter()
        breaker.failed()
    with pytest.raises(OpenError) as refused:
        breaker.enter()
    assert refused.value.retry_after_s == 10
    now = 10.0
    breaker.enter()
    with pytest.raises(OpenError):
        breaker.enter()
    breaker.abandoned()
    breaker.enter()
    breaker.failed()
    now = 15.0
    with pytest.raises(OpenError):
        breaker.enter()
    now = 20.0
    breaker.enter()
    breaker.succeeded()
    breaker.enter()
    assert states == ["open", "half_open", "open", "half_open", "open", "half_open", "closed"]


def test_failures_that_are_not_in_a_row_do_not_open_it():
    breaker = Breaker(2, 10)
    for _ in range(3):
        breaker.failed()
        breaker.succeeded()
    assert breaker.state == "closed"


@pytest.mark.parametrize("text", ["", "acme", f"acme={'0' * 63}", f"{ENTRY} acme:{'0' * 64}"])
def test_keys_that_cannot_be_read_are_one_sentence_without_them(text: str):
    with pytest.raises(PayloadError) as refused:
        keys.read_keys({keys.VARIABLE: text})
    assert keys.VARIABLE in str(refused.value)
    assert "0" * 63 not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ledger": {"rate": "often"}}, "is no rate"),
        ({"ledger": {"lease_s": 5}, "deadline_s": 5}, "lease_s 5 is not more than deadline_s 5"),
        ({"carrier": {"url": "ftp://x"}}, "carrier.url"),
        ({"key": "x"}, "key"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(changes: dict[str, Any], words: str):
    with pytest.raises(ValueError, match=words):
        BusinessArgs.model_validate(changes)


@pytest.mark.parametrize("text", [f"nowhere {MARKER}", f"mysql://a:{MARKER}@b/c", f"sqlite:///{MARKER}"])
def test_a_database_that_cannot_be_used_is_one_sentence_without_its_url(text: str):
    with pytest.raises(PayloadError, match=VARIABLE) as refused:
        postgresql_url(text, VARIABLE)
    assert MARKER not in str(refused.value)


def test_the_openapi_says_what_a_client_must_send_and_may_get(service: Service):
    document = service.run(lambda client: client.get("/openapi.json")).json()
    decide = document["paths"]["/decisions"]["post"]
    assert decide["security"] == [{"key": []}]
    assert document["components"]["securitySchemes"]["key"] == {"type": "apiKey", "in": "header", "name": keys.HEADER}
    assert [(each["name"], each["required"]) for each in decide["parameters"]] == [("Idempotency-Key", True)]
    wanted = {200, 400, 401, 409, 413, 415, 422, 429, 503, 504}
    assert wanted <= {int(status) for status in decide["responses"]}
    assert all("Retry-After" in decide["responses"][str(status)]["headers"] for status in (409, 429, 503))
