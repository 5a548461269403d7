"""Work is a coroutine that the test holds by its events; nothing here waits for a clock."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from services.images.library.single_flight import ReportProgress, SingleFlight


class Work:
    """Runs until ``finish`` is set; counts its starts and remembers being cancelled."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.finish = asyncio.Event()
        self.starts = 0
        self.cleaned_up = False
        self.report: ReportProgress

    async def __call__(self, report: ReportProgress) -> str:
        self.starts += 1
        self.report = report
        self.started.set()
        try:
            await self.finish.wait()
        finally:
            await asyncio.sleep(0)  # cleaning up takes a turn of the loop
            self.cleaned_up = True
        return "built"


class Heard(list[str]):
    def __call__(self, stage: str, message: str, fraction: float | None) -> None:
        self.append(message)


def silent(stage: str, message: str, fraction: float | None) -> None: ...


Scenario = Callable[[SingleFlight[str], Work], Coroutine[Any, Any, None]]


def play(scenario: Scenario) -> None:
    async def stage() -> None:
        await scenario(SingleFlight(), Work())

    asyncio.run(stage())


def test_two_who_ask_at_once_share_one_run_and_its_progress() -> None:
    async def scenario(flights: SingleFlight[str], work: Work) -> None:
        first, second = Heard(), Heard()
        one = asyncio.create_task(flights.run("debian", work, first))
        await work.started.wait()
        work.report("download", "half", 0.5)
        two = asyncio.create_task(flights.run("debian", work, second))
        await asyncio.sleep(0)
        work.report("install", "most", 0.9)
        work.finish.set()
        assert await one == await two == "built"
        assert work.starts == 1
        assert first == ["half", "most"]
        assert second == ["half", "most"]  # the latest when it joined, then what came

    play(scenario)


def test_different_keys_run_side_by_side() -> None:
    async def scenario(flights: SingleFlight[str], work: Work) -> None:
        other = Work()
        tasks = [
            asyncio.create_task(flights.run("a", work, silent)),
            asyncio.create_task(flights.run("b", other, silent)),
        ]
        await work.started.wait()
        await other.started.wait()
        assert flights.running == ["a", "b"]
        work.finish.set()
        other.finish.set()
        await asyncio.gather(*tasks)
        assert flights.running == []

    play(scenario)


def test_asking_again_after_the_end_runs_again() -> None:
    async def scenario(flights: SingleFlight[str], work: Work) -> None:
        work.finish.set()
        await flights.run("debian", work, silent)
        await flights.run("debian", work, silent)
        assert work.starts == 2

    play(scenario)


def test_when_one_of_two_gives_up_the_work_goes_on() -> None:
    async def scenario(flights: SingleFlight[str], work: Work) -> None:
        one = asyncio.create_task(flights.run("debian", work, silent))
        two = asyncio.create_task(flights.run("debian", work, silent))
        await work.started.wait()
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        assert not work.cleaned_up
        work.finish.set()
        assert await two == "built"

    play(scenario)


def test_when_the_last_gives_up_the_work_has_cleaned_up_before_it_returns() -> None:
    async def scenario(flights: SingleFlight[str], work: Work) -> None:
        one = asyncio.create_task(flights.run("debian", work, silent))
        await work.started.wait()
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        assert work.cleaned_up
        assert flights.running == []

    play(scenario)


def test_who_asks_while_abandoned_work_ends_gets_a_run_of_his_own() -> None:
    async def scenario(flights: SingleFlight[str], work: Work) -> None:
        abandoned = asyncio.create_task(flights.run("debian", work, silent))
        await work.started.wait()
        abandoned.cancel()
        await asyncio.sleep(0)
        fresh = Work()
        fresh.finish.set()
        assert await flights.run("debian", fresh, silent) == "built"
        with pytest.raises(asyncio.CancelledError):
            await abandoned

    play(scenario)


def test_a_failure_reaches_everyone_who_waits() -> None:
    async def scenario(flights: SingleFlight[str], work: Work) -> None:
        async def fail(_: ReportProgress) -> str:
            await work.finish.wait()
            raise OSError("disk on fire")

        tasks = [asyncio.create_task(flights.run("debian", fail, silent)) for _ in range(2)]
        await asyncio.sleep(0)
        work.finish.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["disk on fire", "disk on fire"]
        assert flights.running == []

    play(scenario)
