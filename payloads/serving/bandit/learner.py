"""The one that learns: a detached actor that takes updates, makes them safe, and hands out the policy.

It is found by its name from every replica and outlives all of them. When it dies, Ray starts it again and it recovers
from the journal; an update that was acknowledged is in it, one that was not is sent again by the replica that waits.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from typing import Any

import ray

from payloads.common.settings import read_platform
from payloads.common.storage import open_storage
from payloads.serving.bandit.journal import Journal
from payloads.serving.bandit.linucb import LinUcb, Policy, Update

NAMESPACE = "manta"
# Updates that arrive within this time are one segment: each costs the storage a request.
GATHER_S = 0.05
SNAPSHOT_EVERY = 1000
CATCH_UP_S = 5.0


class Learner:
    """`folder` on the platform's storage holds its journal and its key."""

    def __init__(self, folder: str, arms: int, features: int) -> None:
        self.storage = open_storage(read_platform())
        self.folder = folder
        self.journal = Journal(self.storage, folder, LinUcb(arms, features))
        self.journal.recover()
        self.snapshot_at = self.journal.model.updates + SNAPSHOT_EVERY
        self.waiting: list[tuple[Update, asyncio.Future[None]]] = []
        self.arrived = asyncio.Event()
        # Storage is waited for in threads; one at a time has the journal.
        self.busy = asyncio.Lock()
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to write and to read what other learners write; a second call does nothing."""
        if not self.tasks:
            loop = asyncio.get_running_loop()
            self.tasks = [loop.create_task(self._write()), loop.create_task(self._catch_up())]

    async def key(self) -> bytes:
        """The key that tokens are signed with; made once for a folder."""
        found = await asyncio.to_thread(self.storage.read_json, f"{self.folder}/key.json")
        if found is None:
            made = {"key": base64.b64encode(secrets.token_bytes(32)).decode()}
            await asyncio.to_thread(self.storage.write_json, f"{self.folder}/key.json", made)
            # Another learner may have made one at the same time: the one that is there now is everybody's.
            found = await asyncio.to_thread(self.storage.read_json, f"{self.folder}/key.json") or made
        return base64.b64decode(found["key"])

    async def learn(self, update: Update) -> None:
        """Returns when the update is safe; the same one again is no other."""
        await self.start()
        safe: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((update, safe))
        self.arrived.set()
        await safe

    async def policy(self) -> tuple[int, Policy]:
        """How many updates are in the policy, and the policy."""
        await self.start()
        async with self.busy:
            return self.journal.model.updates, self.journal.model.policy()

    async def _write(self) -> None:
        while True:
            await self.arrived.wait()
            await asyncio.sleep(GATHER_S)
            self.arrived.clear()
            group, self.waiting = self.waiting, []
            try:
                async with self.busy:
                    await asyncio.to_thread(self.journal.append, [update for update, _ in group])
            except Exception as error:  # it belongs to those that wait; they send it again
                for _, safe in group:
                    if not safe.done():
                        safe.set_exception(error)
                continue
            for _, safe in group:
                if not safe.done():
                    safe.set_result(None)
            if self.journal.model.updates >= self.snapshot_at:
                self.snapshot_at += SNAPSHOT_EVERY
                with contextlib.suppress(OSError):  # the segments are there; the next one will do
                    async with self.busy:
                        await asyncio.to_thread(self.journal.snapshot)

    async def _catch_up(self) -> None:
        while True:
            await asyncio.sleep(CATCH_UP_S)
            with contextlib.suppress(OSError):
                async with self.busy:
                    await asyncio.to_thread(self.journal.catch_up)


def find_or_start(name: str, arms: int, features: int) -> Any:
    """The learner called `name`, started if there is none; Ray starts it again as often as it dies."""
    return (
        ray.remote(Learner)
        .options(
            name=f"learner-{name}",
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=1000,
        )
        .remote(f"bandits/{name}", arms, features)
    )
