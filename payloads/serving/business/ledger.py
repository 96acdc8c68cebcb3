"""The deployment that owns the decisions and counts the requests of each client: one replica for all that ask.

What it keeps in memory is the count alone, which a new replica begins anew.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable
from typing import TypeVar

import limits
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from payloads.serving.business.decisions import Begun, Decisions, Kept, postgresql_url, sqlite_url
from payloads.serving.business.rules import History
from payloads.serving.business.settings import LedgerArgs

logger = logging.getLogger("ray.serve")
VARIABLE = "MANTA_BUSINESS_DATABASE"
# How often a request looks whether the one that decides the same has ended.
_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.01, 0.2
Value = TypeVar("Value")


class LedgerError(Exception):
    """The database did not answer in time."""


class Ledger:
    """One replica; see LedgerArgs for where it keeps what."""

    def __init__(self, args: LedgerArgs) -> None:
        text = os.environ.get(VARIABLE)
        url = postgresql_url(text, VARIABLE) if text else sqlite_url(args.path)
        self.decisions = Decisions(url, args.busy_s, args.lease_s)
        self.rate = limits.parse(args.rate)
        self.limiter = MovingWindowRateLimiter(MemoryStorage())

    async def admit(self, client: str) -> int | None:
        """Count a request of `client`; None if it is within the rate, else whole seconds until one is again."""
        if self.limiter.hit(self.rate, client):
            return None
        reset = self.limiter.get_window_stats(self.rate, client).reset_time
        return max(1, math.ceil(reset - time.time()))

    async def begin(self, client: str, key: str, fingerprint: str, patience_s: float) -> Begun:
        """Claim a key or say what is there; another request that is at it is waited for, up to `patience_s`."""
        end, pause = time.monotonic() + patience_s, _FIRST_LOOK_S
        while True:
            begun = await self._call(lambda: self.decisions.begin(client, key, fingerprint))
            if begun.kind != "pending" or time.monotonic() + pause > end:
                return begun
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK_S)

    async def finish(self, client: str, key: str, token: str, kept: Kept) -> bool:
        return await self._call(lambda: self.decisions.finish(client, key, token, kept))

    async def release(self, client: str, key: str, token: str) -> None:
        await self._call(lambda: self.decisions.release(client, key, token))

    async def history(self, client: str) -> History:
        return await self._call(lambda: self.decisions.history(client))

    async def _call(self, work: Callable[[], Value]) -> Value:
        """`work` in a thread; what the database says goes to the log, where alone it may name the database."""
        try:
            return await asyncio.to_thread(work)
        except (DBAPIError, PoolTimeoutError) as error:
            logger.warning("business: the database failed: %s", type(error).__name__)
            raise LedgerError("the database did not answer") from None
