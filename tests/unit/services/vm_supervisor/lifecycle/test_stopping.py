"""Stops that are taken back, with a scripted launcher and VMM."""

import asyncio
import time
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.contract import ExitReason
from shared.contract.messages.vm import State
from shared.host.retry import poll_async
from tests.unit.services.vm_supervisor.lifecycle.bench import SECONDS, Bench, scenario


async def stopping(bench: Bench, limit: float, *, taken_back: bool) -> asyncio.Task[None]:
    """A stop that has begun."""
    stop = asyncio.create_task(bench.supervision.stop(limit, taken_back=lambda: taken_back))
    limit = time.monotonic() + SECONDS
    assert await poll_async(lambda: ("stopping", "") in bench.told, limit, pause=0.001)
    return stop


@pytest.mark.parametrize(("taken_back", "after"), [(True, "running"), (False, "stopping")])
def test_a_stop_that_the_guest_was_not_told_of_is_taken_back(
    tmp_path: Path, taken_back: bool, after: State
) -> None:
    async def play(bench: Bench) -> None:
        stop = await stopping(bench, time.monotonic() + SECONDS, taken_back=taken_back)
        stop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stop
        assert bench.told[-1] == (after, "")
        assert bench.supervision.life.state == after

    scenario(tmp_path, play)


def test_a_guest_that_was_told_is_stopping_until_it_is_off(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        stop = await stopping(bench, time.monotonic() + SECONDS, taken_back=True)
        bench.supervision._stopping._stops[0].may_follow = True  # its agent has taken the request
        stop.cancel()
        await asyncio.wait([stop], timeout=0.05)
        assert (stop.done(), bench.supervision.life.state) == (False, "stopping")
        bench.machine.end(ExitReason.POWEROFF)
        await stop
        assert (bench.told[-1], bench.machine.signals) == (("stopped", ""), [])

    scenario(tmp_path, play)


def test_a_guest_that_was_told_and_stays_runs_on_and_is_not_ended(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        stop = await stopping(bench, time.monotonic() + 0.2, taken_back=True)
        bench.supervision._stopping._stops[0].may_follow = True
        stop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stop
        assert (bench.told[-1], bench.machine.signals) == (("running", ""), [])

    scenario(tmp_path, play)
