"""A circuit breaker: who has failed often is left alone for a while, and then asked once.

States and their names after M. Nygard, Release It! (2nd edition, 2018), chapter 5: closed, open, half open.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]


class OpenError(Exception):
    """The call was not made. `retry_after_s`: when the next one may be."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"not asked for another {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s


class Breaker:
    """Opens after `failures` in a row, for `open_s` seconds; then one call goes through and closes or opens it again.

    For one event loop: nothing here waits, so no lock is needed. `tell` is called with each new state.
    """

    def __init__(
        self,
        failures: int,
        open_s: float,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[State], None] = lambda _: None,
    ) -> None:
        self.failures = failures
        self.open_s = open_s
        self.clock = clock
        self.tell = tell
        self.state: State = "closed"
        self._in_a_row = 0
        self._opened = 0.0

    def enter(self) -> None:
        """Ask before a call; it must then end in `succeeded`, `failed` or `abandoned`. Raises OpenError."""
        if self.state == "half_open":
            raise OpenError(self.open_s)
        if self.state == "open":
            left = self._opened + self.open_s - self.clock()
            if left > 0:
                raise OpenError(left)
            self._become("half_open")

    def succeeded(self) -> None:
        self._in_a_row = 0
        self._become("closed")

    def failed(self) -> None:
        self._in_a_row += 1
        if self.state == "half_open" or self._in_a_row >= self.failures:
            self._open()

    def abandoned(self) -> None:
        """The caller left before the call ended, which says nothing of who was called: the next call may find out."""
        if self.state == "half_open":
            self._opened = self.clock() - self.open_s
            self._become("open")

    def _open(self) -> None:
        self._opened = self.clock()
        self._become("open")

    def _become(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self.tell(state)
