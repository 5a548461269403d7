"""Calls that block run one after the other, beside the event loop."""

import asyncio
import threading

import pytest

from services.nat.kernel.thread import KernelThread


def test_calls_run_in_one_thread_that_is_not_the_loops() -> None:
    async def scenario() -> set[int]:
        thread = KernelThread()
        found = await asyncio.gather(*(thread.run(threading.get_ident) for _ in range(5)))
        thread.close()
        return set(found)

    (ident,) = asyncio.run(scenario())
    assert ident != threading.get_ident()


def test_error_of_a_call_is_the_callers() -> None:
    async def scenario() -> None:
        thread = KernelThread()
        try:
            with pytest.raises(ValueError, match="invalid literal"):
                await thread.run(int, "x")
            assert await thread.run(int, "7") == 7
        finally:
            thread.close()

    asyncio.run(scenario())
