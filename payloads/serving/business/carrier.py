"""The carrier's prices over HTTP: each attempt timed, a few of them, and none while the carrier is known to be down."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator

import aiohttp
import tenacity
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from payloads.serving.business.breaker import Breaker, OpenError, State
from payloads.serving.business.settings import CarrierArgs

logger = logging.getLogger("ray.serve")
# What a server that is full, leaves or breaks answers, and what a proxy answers in its stead.
_PASSING = frozenset({429, 500, 502, 503, 504})
# Waits between attempts are drawn below a bound that doubles from here ("Exponential Backoff And Jitter", AWS
# Architecture Blog, 2015: full jitter).
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.05, 0.5
_LARGEST_ANSWER = 1 << 16


class CarrierError(Exception):
    """There is no price now. `retry_after_s`: whole seconds after which asking again makes sense."""

    def __init__(self, why: str, retry_after_s: float = 1.0) -> None:
        super().__init__(why)
        self.retry_after_s = max(1, math.ceil(retry_after_s))


class Quote(BaseModel):
    """The carrier's answer; more keys than these are its own business."""

    model_config = ConfigDict(strict=True)

    price_cents: int = Field(ge=0, le=10_000_000)


class _PassingError(Exception):
    """An attempt failed in a way in which the next one may not."""


class Carrier:
    """One replica's way to the carrier: connections that are kept, and a breaker of its own.

    Asking for a price changes nothing there, so an attempt may be made again. aiohttp by itself repeats one whose
    connection broke before an answer, once: kept connections go stale (RFC 9112, 9.3.1). To the breaker an answer that
    is no price is as good as none.
    """

    def __init__(self, args: CarrierArgs) -> None:
        self.args = args
        self.breaker = Breaker(args.failures, args.open_s, tell=_told)
        self._session: aiohttp.ClientSession | None = None

    async def quote(self, zone: int, weight_kg: float) -> int | None:
        """Price in cents, None where the carrier does not serve the zone; raises CarrierError."""
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self.args.attempts),
            wait=tenacity.wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S),
            retry=tenacity.retry_if_exception_type(_PassingError),
            reraise=True,
        )
        try:
            async with asyncio.timeout(self.args.deadline_s):
                return await retrying(self._attempt, zone, weight_kg)
        except OpenError as error:
            raise CarrierError(str(error), error.retry_after_s) from None
        except _PassingError as error:
            raise CarrierError(str(error)) from None
        except TimeoutError:
            raise CarrierError(f"no answer within {self.args.deadline_s:g} s") from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _attempt(self, zone: int, weight_kg: float) -> int | None:
        self.breaker.enter()
        try:
            found = await self._ask(zone, weight_kg)
        except (_PassingError, CarrierError):
            self.breaker.failed()
            raise
        except BaseException:
            self.breaker.abandoned()
            raise
        self.breaker.succeeded()
        return found

    async def _ask(self, zone: int, weight_kg: float) -> int | None:
        if self._session is None:  # here and not earlier: a session belongs to the event loop that runs it
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.args.timeout_s))
        query = {"zone": str(zone), "weight_kg": f"{weight_kg:g}"}
        try:
            async with self._session.get(f"{self.args.url}/quote", params=query, allow_redirects=False) as answer:
                if answer.status in _PASSING:
                    raise _PassingError(f"status {answer.status}")
                if answer.status == 404:
                    return None
                if answer.status != 200:
                    raise CarrierError(f"status {answer.status}")
                # More than this is no price, however much more there is.
                body = b"".join([part async for part in _first(answer.content, _LARGEST_ANSWER)])
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _PassingError(type(error).__name__) from None
        try:
            return Quote.model_validate_json(body).price_cents
        except ValidationError:
            raise CarrierError("the answer is no price") from None


async def _first(content: aiohttp.StreamReader, most: int) -> AsyncIterator[bytes]:
    async for part in content.iter_chunked(1 << 12):
        most -= len(part)
        if most < 0:
            raise CarrierError("the answer is no price")
        yield part


def _told(state: State) -> None:
    logger.warning("business: the breaker of the carrier is %s", state)
