"""Work that a cancel does not leave half done."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.vm_supervisor.disks.uninterrupted import entered, in_thread, to_its_end

SECONDS = 10.0


def test_a_thread_gives_its_result_or_raises() -> None:
    async def scenario() -> None:
        assert await in_thread(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await in_thread(divmod, 7, 0)

    asyncio.run(scenario())


def test_a_cancel_is_heard_when_the_thread_has_ended() -> None:
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go.wait(SECONDS)
        done.set()

    async def scenario() -> None:
        task = asyncio.create_task(in_thread(work))
        assert await asyncio.to_thread(begun.wait, SECONDS)
        task.cancel()
        await asyncio.wait([task], timeout=0.02)
        assert not task.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done.is_set()

    asyncio.run(scenario())


def test_what_cannot_be_taken_back_is_not_cancelled() -> None:
    async def scenario() -> None:
        begun, go = asyncio.Event(), asyncio.Event()

        async def work() -> str:
            begun.set()
            await go.wait()
            return "done"

        task = asyncio.create_task(to_its_end(work()))
        await begun.wait()
        for _ in range(3):
            task.cancel()
            await asyncio.wait([task], timeout=0.01)
        go.set()
        assert await task == "done"

    asyncio.run(scenario())


@pytest.mark.parametrize("fails", [False, True])
def test_a_context_is_left_as_it_was_entered(fails: bool) -> None:
    told: list[object] = []

    @contextmanager
    def context() -> Iterator[str]:
        told.append(threading.current_thread() is threading.main_thread())
        try:
            yield "value"
        except ValueError as error:
            told.append(error)
            raise
        finally:
            told.append("left")

    async def scenario() -> None:
        async with entered(context()) as value:
            assert value == "value"
            if fails:
                raise ValueError

    if fails:
        with pytest.raises(ValueError):
            asyncio.run(scenario())
        assert isinstance(told.pop(1), ValueError)
    else:
        asyncio.run(scenario())
    assert told == [False, "left"]
