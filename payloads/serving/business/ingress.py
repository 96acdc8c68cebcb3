"""One replica of the decision service: it waits for others and computes nothing, so many requests share one.

What is needed for an answer is refused without (503): the ledger, the reader, the carrier. What only makes it better is
done without: the client's history.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from payloads.serving.business import rules, schemas
from payloads.serving.business.carrier import Carrier, CarrierError
from payloads.serving.business.decisions import Kept
from payloads.serving.business.features import Features, LedgerFeatures, look_up
from payloads.serving.business.keys import read_keys
from payloads.serving.business.ledger import LedgerError
from payloads.serving.business.rules import Decision, History, Zone
from payloads.serving.business.schemas import Parcel
from payloads.serving.business.settings import BusinessArgs
from payloads.serving.failures import RefusedError
from payloads.serving.http import JsonApi, Route, secured

Value = TypeVar("Value")
# Of the deadline, what a request waits for another with its key: it must still be able to say so.
_PATIENCE = 0.6


@dataclass(frozen=True)
class Asked:
    """What the headers say."""

    client: str
    key: str


class Business:
    """`reader` is a member (payloads.serving.member), `ledger` a Ledger, `features` by default the ledger's history."""

    def __init__(
        self, args: BusinessArgs, reader: DeploymentHandle, ledger: DeploymentHandle, features: Features | None = None
    ) -> None:
        self.args = args
        self.keys = read_keys()
        self.reader = reader
        self.ledger = ledger
        self.features = features or LedgerFeatures(ledger)
        self.carrier = Carrier(args.carrier)
        self.card: dict[str, list[str]] | None = None
        # asyncio keeps only weak references to tasks: without this one could vanish in mid-flight.
        self.tasks: set[asyncio.Task[None]] = set()

    def __serve_build_asgi_app__(self) -> ASGIApp:
        route = Route(
            path="/decisions",
            summary="Decide whether a parcel is carried, and for how much",
            parse=schemas.parse,
            answer=self.answer,
            request_schema=Parcel.model_json_schema(),
            response_model=schemas.Answer,
            deadline_s=self.args.deadline_s,
            refusals=schemas.REFUSALS,
            admit=self.admit,
            documentation=schemas.DOCUMENTATION,
        )
        api = JsonApi([route], self.args.max_body_bytes, title="Parcels")
        secured(api, schemas.SECURITY)
        return api

    async def admit(self, headers: Mapping[str, str]) -> Asked:
        """Who asks, before any of the body is read; raises RefusedError with 400, 401, 429 or 503."""
        client = self.keys.client_of(headers)
        wait_s = await _needed("ledger", self.ledger.admit.remote(client))
        if wait_s is not None:
            sentence = f"more requests than {self.args.ledger.rate}: come back in {wait_s} s"
            raise RefusedError(429, sentence, headers={"Retry-After": str(wait_s)})
        return Asked(client, schemas.idempotency_key(headers))

    async def answer(self, parcel: Parcel, request_id: str, asked: Asked) -> bytes:
        """The body of a 200, once it is stored; raises RefusedError with 409, 422 or 503."""
        patience_s = _PATIENCE * self.args.deadline_s
        wanted = self.ledger.begin.remote(asked.client, asked.key, schemas.fingerprint(parcel), patience_s)
        begun = await _needed("ledger", wanted)
        if begun.kind == "stored":
            return begun.answer.encode()
        if begun.kind == "other":
            sentence = f"{schemas.IDEMPOTENCY} was used for another parcel: send a new one"
            raise RefusedError(422, sentence, "idempotency_key_reused")
        if begun.kind == "mine":
            try:
                decision, body = await self._decide(parcel, request_id, asked)
                kept = Kept(decision.outcome, parcel.declared_value_cents, body)
                if await _needed("ledger", self.ledger.finish.remote(asked.client, asked.key, begun.token, kept)):
                    return body.encode()
            except BaseException:
                self._release(asked, begun.token)
                raise
        sentence = f"another request with this {schemas.IDEMPOTENCY} is being decided: send this one again"
        raise RefusedError(409, sentence, "being_decided", {"Retry-After": "1"})

    async def _decide(self, parcel: Parcel, request_id: str, asked: Asked) -> tuple[Decision, str]:
        zone, history = await asyncio.gather(
            self._read(parcel), look_up(self.features, asked.client, self.args.history_timeout_s)
        )
        decision = await self._judge(parcel, zone, history)
        body = {
            "outcome": decision.outcome,
            "reason": decision.reason,
            "price_cents": decision.price_cents,
            "zone": zone.number,
            "confidence": round(min(zone.confidence, 1.0), 6),
            "model_version": zone.model_version,
            "history_known": history.known,
            "request_id": request_id,
        }
        return decision, json.dumps(body)

    async def _judge(self, parcel: Parcel, zone: Zone, history: History) -> Decision:
        value = parcel.declared_value_cents
        early = rules.before_price(self.args.rules, parcel.weight_kg, value, zone, history)
        if early is not None:
            return early
        try:
            quote = await self.carrier.quote(zone.number, parcel.weight_kg)
        except CarrierError as error:
            wait = {"Retry-After": str(error.retry_after_s)}
            raise RefusedError(503, "the carrier gives no price now", "carrier_unavailable", wait) from None
        return rules.with_price(self.args.rules, value, quote)

    async def _read(self, parcel: Parcel) -> Zone:
        if self.card is None:
            self.card = await _needed("reader", self.reader.card.remote())
        rows = np.array([parcel.pixels], np.float32)
        (row,) = await _needed("reader", self.reader.probabilities.remote(rows))
        place = int(row.argmax())
        return Zone(int(self.card["classes"][place]), float(row[place]), str(self.card["model_version"]))

    def _release(self, asked: Asked, token: str) -> None:
        """Beside the request, which may be ending because its time is up; failing that, the lease ends."""

        async def release() -> None:
            await _needed("ledger", self.ledger.release.remote(asked.client, asked.key, token))

        task = asyncio.get_running_loop().create_task(release())
        self.tasks.add(task)
        task.add_done_callback(self._released)

    def _released(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it as forgotten


async def _needed(what: str, call: Awaitable[Value]) -> Value:
    """What a deployment answers; raises RefusedError (503) where it is full, down, or its database is.

    What else is raised in it is a defect and stays one.
    """
    try:
        return await call
    except (RayError, RayServeException, LedgerError) as error:
        if isinstance(error, RayTaskError) and not isinstance(error, LedgerError):
            raise
        wait = {"Retry-After": "1"}
        raise RefusedError(503, f"the {what} does not answer: try again", f"{what}_unavailable", wait) from None
