"""The decisions' database, SQLite and a real PostgreSQL: one decision for a key, whoever dies or waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest
from services import postgresql

from payloads.serving.business.decisions import DAY_S, Decisions, Kept, postgresql_url, sqlite_url
from payloads.serving.business.ledger import VARIABLE, Ledger, LedgerError
from payloads.serving.business.rules import History
from payloads.serving.business.settings import LedgerArgs

KEPT = Kept("accepted", 700, '{"outcome": "accepted"}')
LEASE_S = 30.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgresql("decisions") as uri:
        yield uri


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def decisions(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Decisions:
    sqlite = request.param == "sqlite"
    file = sqlite_url(str(tmp_path / "made" / "decisions.sqlite"))
    url = file if sqlite else postgresql_url(request.getfixturevalue("postgres"), VARIABLE)
    return Decisions(url, busy_s=5, lease_s=LEASE_S, clock=clock)


@pytest.fixture
def client(request: pytest.FixtureRequest) -> str:
    """One for each test: the PostgreSQL is that of all of them."""
    return str(abs(hash(request.node.name)))


def test_of_many_that_claim_a_key_at_once_one_gets_it(decisions: Decisions, client: str):
    for key in ("a", "b", "c"):
        with ThreadPoolExecutor(12) as pool:
            kinds = list(pool.map(lambda _, key=key: decisions.begin(client, key, "f").kind, range(12)))
        assert sorted(kinds) == ["mine", *["pending"] * 11]


def test_what_is_stored_is_found_and_another_content_is_told_apart(decisions: Decisions, client: str):
    token = decisions.begin(client, "a", "f").token
    assert decisions.begin(client, "a", "other").kind == "other"
    assert decisions.finish(client, "a", token, KEPT)
    found = decisions.begin(client, "a", "f")
    assert (found.kind, found.answer) == ("stored", KEPT.answer)
    decisions.release(client, "a", token)
    assert decisions.begin(client, "a", "f").kind == "stored", "what is decided stays"
    assert decisions.begin(client, "a", "other").kind == "other"


def test_a_claim_that_is_given_up_is_the_next_ones(decisions: Decisions, client: str):
    decisions.release(client, "a", decisions.begin(client, "a", "f").token)
    assert decisions.begin(client, "a", "other").kind == "mine"


def test_a_claim_whose_holder_died_is_taken_over_once_and_the_dead_cannot_come_back(
    decisions: Decisions, client: str, clock: Clock
):
    first = decisions.begin(client, "a", "f")
    clock.now += LEASE_S - 1
    assert decisions.begin(client, "a", "f").kind == "pending"
    clock.now += 1
    second = decisions.begin(client, "a", "f")
    assert second.kind == "mine"
    assert decisions.begin(client, "a", "f").kind == "pending"
    assert not decisions.finish(client, "a", first.token, KEPT)
    decisions.release(client, "a", first.token)
    assert decisions.finish(client, "a", second.token, KEPT)


def test_history_is_what_was_accepted_within_a_day(decisions: Decisions, client: str, clock: Clock):
    assert decisions.history(client) == History(0, 0)
    for key, kept in {"a": KEPT, "b": KEPT, "c": Kept("review", 9, "{}")}.items():
        decisions.finish(client, key, decisions.begin(client, key, "f").token, kept)
    decisions.begin(client, "d", "f")
    assert decisions.history(client) == History(2, 1400)
    clock.now += DAY_S
    assert decisions.history(client) == History(0, 0)


@pytest.fixture
def ledger(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Ledger]:
    monkeypatch.setenv(VARIABLE, postgres)
    return lambda: Ledger(LedgerArgs(path="/nowhere/x", busy_s=0.5))


def test_a_table_that_another_holds_is_waited_for_and_then_refused(
    ledger: Callable[[], Ledger], postgres: str, client: str
):
    async def go() -> None:
        mine = ledger()
        other = psycopg2.connect(postgres)
        other.cursor().execute("LOCK TABLE decisions IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        with pytest.raises(LedgerError):
            await mine.begin(client, "a", "f", patience_s=5)
        assert time.monotonic() - began < 5
        other.close()
        assert (await mine.begin(client, "a", "f", patience_s=5)).kind == "mine"

    asyncio.run(go())


def test_connections_that_the_database_has_closed_are_made_again(
    ledger: Callable[[], Ledger], postgres: str, client: str
):
    async def go() -> None:
        mine = ledger()
        token = (await mine.begin(client, "a", "f", patience_s=1)).token
        other = psycopg2.connect(postgres)
        others = "pid <> pg_backend_pid() AND datname IS NOT NULL"
        other.cursor().execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")  # noqa: S608
        other.close()
        assert await mine.finish(client, "a", token, KEPT)

    asyncio.run(go())


def test_two_ledgers_of_one_database_decide_a_key_once(ledger: Callable[[], Ledger], client: str):
    """As during an upgrade, when the old cluster still answers."""

    async def go() -> None:
        old, new = ledger(), ledger()
        token = (await old.begin(client, "a", "f", patience_s=1)).token
        waiting = asyncio.create_task(new.begin(client, "a", "f", patience_s=20))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await old.finish(client, "a", token, KEPT)
        assert (await waiting).answer == KEPT.answer

    asyncio.run(go())
