"""Waiting outside the event loop, so that the engine is served meanwhile, and without outliving the program."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

import pulumi

Result = TypeVar("Result")
Say = Callable[[str], None]


async def in_background(work: Callable[[Say], Result], resource: pulumi.Resource) -> Result:
    """`work(say)` in a daemon thread: after Ctrl-C the interpreter ends without waiting for it.

    `say` shows a line at `resource` in the engine's display, and may be called from that thread.
    """
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    done: asyncio.Future[Result] = loop.create_future()

    def say(line: str) -> None:
        loop.call_soon_threadsafe(lambda: context.copy().run(pulumi.log.info, line, resource))

    def settle(result: Result | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # pyright: ignore[reportArgumentType]

    def run() -> None:
        result, failed = None, None
        try:
            result = work(say)
        except BaseException as error:
            failed = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, daemon=True, name="wait").start()
    return await done


def unknown() -> pulumi.Output[object]:
    """An output that a preview cannot know."""
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    known: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    known.set_result(False)
    return pulumi.Output(set(), future, known)


async def exists(resource: pulumi.CustomResource) -> None:
    """Return once the engine has made `resource`; a failure of it is the engine's to report."""
    await resource.id.future()
