"""What is known of a client beforehand, from a store that may be slow: waited for a moment, then done without.

`Features` is all that the service asks of such a store; its own decisions are the one behind it here.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from ray.serve.handle import DeploymentHandle

from payloads.serving.business.rules import UNKNOWN, History

logger = logging.getLogger("ray.serve")


class Features(Protocol):
    """A feature store."""

    async def history(self, client: str) -> History: ...


class LedgerFeatures:
    """The history that the decisions themselves are."""

    def __init__(self, ledger: DeploymentHandle) -> None:
        self.ledger = ledger

    async def history(self, client: str) -> History:
        return await self.ledger.history.remote(client)


async def look_up(features: Features, client: str, timeout_s: float) -> History:
    """The client's history, or UNKNOWN where the store is late or fails: the rules say what that means."""
    try:
        async with asyncio.timeout(timeout_s):
            return await features.history(client)
    except Exception as error:
        logger.warning("business: no history: %s", type(error).__name__)
        return UNKNOWN
