"""Decisions in a database, one for each client's idempotency key: SQLite or PostgreSQL, the same statements.

A key is claimed by inserting its row, which the database lets one of any number do. The claim ends with the answer in
the row, or with the row deleted; one whose holder died is taken over after its lease.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError, IntegrityError

from payloads.common.errors import PayloadError
from payloads.serving.business.rules import History

DAY_S = 86_400.0
_metadata = sql.MetaData()
_table = sql.Table(
    "decisions",
    _metadata,
    sql.Column("client", sql.String(63), primary_key=True),
    sql.Column("key", sql.String(128), primary_key=True),
    sql.Column("fingerprint", sql.String(64), nullable=False),
    sql.Column("token", sql.String(32), nullable=False),
    sql.Column("leased_until", sql.Double, nullable=False),
    sql.Column("outcome", sql.String(16)),
    sql.Column("value_cents", sql.BigInteger),
    sql.Column("decided_at", sql.Double),
    sql.Column("answer", sql.Text),
    sql.Index("decisions_of_a_day", "client", "decided_at"),
)


@dataclass(frozen=True)
class Begun:
    """What there is under a key: `mine` to decide under `token`; an `answer`, `stored`; `other` content than this
    request's; or another request that is at it, `pending`."""

    kind: Literal["mine", "stored", "other", "pending"]
    token: str = ""
    answer: str = ""


@dataclass(frozen=True)
class Kept:
    """A decision as it is stored: `answer` is the body that was answered, `value_cents` what history adds up."""

    outcome: str
    value_cents: int
    answer: str


def sqlite_url(path: str) -> str:
    """The URL of a file, whose folder is made."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{path}"


def postgresql_url(text: str, name: str) -> sql.URL:
    """The URL in the variable `name`; raises PayloadError, which does not repeat it: it may hold a password."""
    try:
        url = sql.make_url(text)
    except ArgumentError:
        raise PayloadError(f"environment variable {name} is no URL: write postgresql://user:password@host/db") from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise PayloadError(f"environment variable {name} names no PostgreSQL: leave it out for an SQLite file")
    # Left to itself SQLAlchemy takes another driver, which the image lacks.
    return url.set(drivername="postgresql+psycopg2")


class Decisions:
    """The table at `url`, made if there is none. Calls block; sqlalchemy.exc.OperationalError is a database that is
    locked for longer than `busy_s`, or gone."""

    def __init__(
        self, url: str | sql.URL, busy_s: float, lease_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self.lease_s = lease_s
        self.clock = clock
        if sql.make_url(url).get_backend_name() == "sqlite":
            self.engine = sql.create_engine(url, connect_args={"timeout": busy_s})
            sql.event.listen(self.engine, "connect", _durable)
        else:
            options = f"-c lock_timeout={int(busy_s * 1000)} -c statement_timeout={int(busy_s * 1000)}"
            arguments = {"connect_timeout": max(2, round(busy_s)), "options": options}
            # A database that was started again has left the pool full of dead connections.
            self.engine = sql.create_engine(url, connect_args=arguments, pool_pre_ping=True, pool_timeout=busy_s)
        _metadata.create_all(self.engine)

    def begin(self, client: str, key: str, fingerprint: str) -> Begun:
        """Claim `key`, or say what is there."""
        token, until = uuid.uuid4().hex, self.clock() + self.lease_s
        row: dict[str, Any] = {"fingerprint": fingerprint, "token": token, "leased_until": until}
        try:
            with self.engine.begin() as connection:
                connection.execute(_table.insert().values(client=client, key=key, **row))
            return Begun("mine", token)
        except IntegrityError:
            pass
        with self.engine.begin() as connection:
            found = connection.execute(_table.select().where(_at(client, key))).one_or_none()
            if found is None:  # given up since: the next try gets it
                return Begun("pending")
            if found.fingerprint != fingerprint:
                return Begun("other")
            if found.answer is not None:
                return Begun("stored", found.token, found.answer)
            if found.leased_until > self.clock():
                return Begun("pending")
            taken = connection.execute(_table.update().where(_at(client, key, found.token)).values(**row))
        return Begun("mine", token) if taken.rowcount else Begun("pending")

    def finish(self, client: str, key: str, token: str, kept: Kept) -> bool:
        """Store the decision; False if the claim was lost to another, whose answer is the one that counts."""
        values = {"outcome": kept.outcome, "value_cents": kept.value_cents, "answer": kept.answer}
        with self.engine.begin() as connection:
            change = _table.update().where(_at(client, key, token)).values(decided_at=self.clock(), **values)
            return connection.execute(change).rowcount == 1

    def release(self, client: str, key: str, token: str) -> None:
        """Give a claim up, so that the next request decides. Nothing happens to what is decided."""
        with self.engine.begin() as connection:
            connection.execute(_table.delete().where(_at(client, key, token)))

    def history(self, client: str) -> History:
        """What of the client was accepted within a day."""
        total = sql.func.coalesce(sql.func.sum(_table.c.value_cents), 0)
        recent = (_table.c.client == client) & (_table.c.decided_at > self.clock() - DAY_S)
        query = sql.select(sql.func.count(), total).where(recent, _table.c.outcome == "accepted")
        with self.engine.connect() as connection:
            parcels, value = connection.execute(query).one()
        return History(parcels, int(value))

    def check(self) -> None:
        with self.engine.connect() as connection:
            connection.execute(sql.select(1))


def _at(client: str, key: str, token: str | None = None) -> sql.ColumnElement[bool]:
    """The row of a key; with `token`, only while that claim holds and nothing is decided."""
    row = (_table.c.client == client) & (_table.c.key == key)
    return row if token is None else row & (_table.c.token == token) & _table.c.answer.is_(None)


def _durable(connection: Any, _record: Any) -> None:
    """Readers and the writer do not wait for each other, and a commit is on disk before it is answered."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
