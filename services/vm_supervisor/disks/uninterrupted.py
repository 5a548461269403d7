"""Work that is not left half done by a caller that is cancelled."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of ``work``, which blocks. A caller that is cancelled hears of it when the thread
    has ended: a thread cannot be stopped, and what it does would come after what undoes it."""
    thread = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait([thread])
        raise


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, from which there is no way back. A cancel is not heard."""
    task = asyncio.ensure_future(work)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise


@asynccontextmanager
async def entered(blocking: AbstractContextManager[T]) -> AsyncIterator[T]:
    """A context manager that reads and writes the disk, entered and left in threads."""
    value = await in_thread(blocking.__enter__)
    try:
        yield value
    except BaseException as error:
        await in_thread(blocking.__exit__, type(error), error, error.__traceback__)
        raise
    else:
        await in_thread(blocking.__exit__, None, None, None)
