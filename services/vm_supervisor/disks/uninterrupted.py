"""Runs work to its end although its caller is cancelled."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run the blocking ``work`` in a thread; returns its result.

    A cancel is raised only after the thread has ended. A thread cannot be stopped, and would
    otherwise go on working while its caller undoes what it did.
    """
    thread = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait([thread])
        raise


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work``, which cannot be undone; returns its result. A cancel of the caller is
    ignored."""
    task = asyncio.ensure_future(work)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise


@asynccontextmanager
async def entered(blocking: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave the context manager ``blocking`` in threads."""
    value = await in_thread(blocking.__enter__)
    try:
        yield value
    except BaseException as error:
        await in_thread(blocking.__exit__, type(error), error, error.__traceback__)
        raise
    else:
        await in_thread(blocking.__exit__, None, None, None)
