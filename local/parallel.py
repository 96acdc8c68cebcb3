"""Work that goes on side by side in threads: when one part fails, or a person presses Ctrl-C, all of it ends."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from local import processes

Result = TypeVar("Result")


class Together:
    """A scope that is left only when everything started in it has ended.

    The first failure ends the child processes of all other parts, and is what the scope raises: the others' failures
    are its consequences.
    """

    def __init__(self, threads: int = 4) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="together")
        self._first: BaseException | None = None

    def start(self, action: Callable[[], Result]) -> Future[Result]:
        """Begin `action` in a thread; its result, or what it raised, is in the future."""
        future = self._pool.submit(action)
        future.add_done_callback(self._note)
        return future

    def __enter__(self) -> Together:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._fail(error)
        try:
            self._pool.shutdown(wait=True)
        except KeyboardInterrupt as interrupt:  # the usual place for Ctrl-C: here the main thread waits
            self._fail(interrupt)
            self._pool.shutdown(wait=True)
        processes.allow_starts()
        if self._first is not None and self._first is not error:
            raise self._first from None

    def _note(self, future: Future[Any]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._first is None:
            self._first = error
            processes.stop_all()
