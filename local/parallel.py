"""Independent parts of the work at the same time: the first failure, or Ctrl-C, ends the others."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from local import processes

T = TypeVar("T")


def together(*actions: Callable[[], T]) -> tuple[T, ...]:
    """Run the actions, each in a thread of its own, and return their results in order.

    When one raises, or the main thread is interrupted, the child processes of the others are ended and that first error
    is raised. Actions that wait for something else than a child (of `processes`) delay this until they return.
    """
    with ThreadPoolExecutor(max_workers=len(actions)) as pool:
        futures = [pool.submit(action) for action in actions]
        try:
            _wait_interruptibly(futures)
            failed = [error for future in futures if future.done() and (error := future.exception())]
            if failed:
                raise failed[0]
            return tuple(future.result() for future in futures)
        except BaseException:
            processes.stop_all()
            wait(futures)
            processes.allow_starts()
            raise


def _wait_interruptibly(futures: list[Future[T]]) -> None:
    pending = set(futures)
    while pending:  # in slices: a wait without limit would hold back Ctrl-C on some platforms
        done, pending = wait(pending, timeout=0.5, return_when=FIRST_EXCEPTION)
        if any(future.exception() for future in done):
            return
