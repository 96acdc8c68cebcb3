"""One run at a time, whoever starts them: a lease on object storage, kept alive by its holder.

No clock is compared with another machine's: who finds the lease taken watches it, and takes it over only if its holder
has given no sign of life for as long as the lease lasts.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from typing import Any

from payloads.common.errors import PayloadError
from payloads.continuous.objects import Objects

# Signs of life in the time of a lease: two may get lost.
BEATS = 4


class HeldError(Exception):
    """Another run holds the lease and is alive; the text says which."""


class Lease:
    """The lease at `path`, held by the block: `with Lease(...) as lease`. Raises HeldError if another run has it."""

    def __init__(self, objects: Objects, path: str, owner: str, seconds: float) -> None:
        self.objects = objects
        self.path = path
        self.owner = owner
        self.seconds = seconds
        self.etag: str | None = None
        self.alive_until = 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        while not self._take():
            pass
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
        if self.etag is not None:
            # One that is not given back is taken over when its time is up.
            with contextlib.suppress(Exception):
                self._write(self.etag, free=True)

    def check(self) -> None:
        """Raise PayloadError if the lease may be another run's by now."""
        if self.etag is None or time.monotonic() > self.alive_until:
            raise PayloadError(
                f"run {self.owner} gave no sign of life for {self.seconds:g} s and another may have taken its place: "
                "nothing is registered; start it again"
            )

    def _take(self) -> bool:
        found = self.objects.read(self.path)
        if found is not None and not found[0]["free"]:
            self._watch(*found)
        asked = time.monotonic()
        self.etag = self._write(found[1] if found else None)
        self.alive_until = asked + self.seconds
        return self.etag is not None

    def _watch(self, value: dict[str, Any], etag: str) -> None:
        """Return once the holder counts as dead, or has let go."""
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline:
            time.sleep(self.seconds / BEATS / 4)
            found = self.objects.read(self.path)
            if found is None or found[0]["free"]:
                return
            if found[1] != etag:
                raise HeldError(f"run {value['owner']} is at work")

    def _beat(self) -> None:
        while self.etag is not None and not self.ended.wait(self.seconds / BEATS):
            asked = time.monotonic()
            # Storage that is away for too long is told by `check`.
            with contextlib.suppress(Exception):
                self.etag = self._write(self.etag)
                self.alive_until = asked + self.seconds

    def _write(self, etag: str | None, free: bool = False) -> str | None:
        # The id makes each sign of life another object, with another ETag.
        value = {"owner": self.owner, "free": free, "id": uuid.uuid4().hex}
        written = self.objects.write_if(self.path, value, etag)
        if written is not None:
            return written
        # A write whose answer was lost is repeated by the client, and then refused because of itself.
        found = self.objects.read(self.path)
        return found[1] if found is not None and found[0]["id"] == value["id"] else None
