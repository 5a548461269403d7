"""Copies come up a few at a time, and wait for a host that is busy."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.api.machines import copy_turns
from services.api.machines.copy_turns import CopyTurns, measured_idle_share, processor_times
from tests.fakes.scene import play


def shares(*told: float) -> tuple[list[float], Callable[[], Awaitable[float]]]:
    """What is left to tell, and who tells it."""
    left = list(told)

    async def tell() -> float:
        await asyncio.sleep(0)
        return left.pop(0)

    return left, tell


async def take(order: CopyTurns) -> None:
    async with order.taken():
        await asyncio.sleep(0)


def test_the_first_ones_wait_for_nothing() -> None:
    async def act() -> None:
        left, tell = shares()
        order = CopyTurns(3, tell)
        await asyncio.gather(*(take(order) for _ in range(3)))
        assert left == []

    play(act())


def test_a_later_one_waits_until_the_host_is_calm() -> None:
    async def act() -> None:
        left, tell = shares(0.0, 0.1, 0.5, 0.9)
        order = CopyTurns(1, tell)
        await take(order)
        await take(order)
        assert left == [0.9]

    play(act())


def test_no_more_than_so_many_have_their_turn() -> None:
    async def act() -> None:
        _, tell = shares(1.0)
        order, inside = CopyTurns(2, tell), asyncio.Event()

        async def hold() -> None:
            async with order.taken():
                await inside.wait()

        holding = [asyncio.create_task(hold()) for _ in range(2)]
        third = asyncio.create_task(take(order))
        await asyncio.sleep(0.01)
        assert not third.done()
        inside.set()
        await asyncio.gather(third, *holding)

    play(act())


def test_a_host_that_is_busy_for_ever_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copy_turns, "LONGEST_WAIT", 0.01)

    async def act() -> None:
        async def busy() -> float:
            await asyncio.sleep(0)
            return 0.0

        order = CopyTurns(1, busy)
        await take(order)
        await asyncio.wait_for(take(order), 5)

    play(act())


def test_idle_and_all_time_are_read_of_the_first_line() -> None:
    text = "cpu  10 1 5 80 4 0 1 2 7 0\ncpu0 10 1 5 80 4 0 1 2 7 0\nintr 1\n"
    assert processor_times(text) == (84, 103)


def test_this_host_tells_its_share() -> None:
    async def act() -> None:
        assert 0.0 <= await measured_idle_share() <= 1.0

    play(act())
