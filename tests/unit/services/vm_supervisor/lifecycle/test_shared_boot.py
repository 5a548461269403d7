"""One boot, and several callers that wait for it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from services.vm_supervisor.lifecycle.shared_boot import BootUnderWay
from shared.errors import BangerError, Code
from shared.logs import Log

SECONDS = 10.0


class ScriptedBoot:
    """A boot that ends when the test says so, and remembers whether it was undone."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cleared = asyncio.Event()
        """Whether it may finish undoing what it had begun."""
        self.undone = asyncio.Event()
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        self.begun.set()
        try:
            await self._end
        except asyncio.CancelledError:
            await self.cleared.wait()
            self.undone.set()
            raise

    def succeed(self) -> None:
        self._end.set_result(None)

    def fail(self, error: BangerError) -> None:
        self._end.set_exception(error)


class Caller:
    """Joins the boot, and remembers the stages it hears of."""

    def __init__(self, booting: BootUnderWay) -> None:
        self.heard: list[str] = []
        self.joined = asyncio.create_task(booting.join(self._hear))

    def _hear(self, stage: str, _words: str) -> None:
        self.heard.append(stage)


Play = Callable[[BootUnderWay, ScriptedBoot, list[Caller]], Awaitable[None]]


def with_two_callers(log: Path, play: Play) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(SECONDS):
            booting, boot = BootUnderWay(Log(log, "test")), ScriptedBoot()
            booting.begin(boot.run())
            callers = [Caller(booting), Caller(booting)]
            await boot.begun.wait()
            await asyncio.sleep(0)  # both have joined
            await play(booting, boot, callers)

    asyncio.run(scenario())


def test_both_callers_hear_the_stages_and_return_with_the_boot(tmp_path: Path) -> None:
    async def play(booting: BootUnderWay, boot: ScriptedBoot, callers: list[Caller]) -> None:
        booting.report("disks", "preparing disks")
        assert booting
        assert not any(caller.joined.done() for caller in callers)
        boot.succeed()
        for caller in callers:
            await caller.joined
        assert [caller.heard for caller in callers] == [["disks"], ["disks"]]
        assert not booting

    with_two_callers(tmp_path / "log", play)
    assert "preparing disks" in (tmp_path / "log").read_text()


def test_caller_that_is_cancelled_leaves_the_boot_to_the_other_one(tmp_path: Path) -> None:
    async def play(booting: BootUnderWay, boot: ScriptedBoot, callers: list[Caller]) -> None:
        gone, other = callers
        gone.joined.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone.joined
        booting.report("boot", "booting")
        assert booting
        boot.succeed()
        await other.joined
        assert (gone.heard, other.heard) == ([], ["boot"])
        assert not boot.undone.is_set()

    with_two_callers(tmp_path / "log", play)


def test_failure_reaches_every_caller(tmp_path: Path) -> None:
    trouble = BangerError(Code.NO_SPACE, "the disk is full")

    async def play(booting: BootUnderWay, boot: ScriptedBoot, callers: list[Caller]) -> None:
        boot.fail(trouble)
        results = await asyncio.gather(
            *(caller.joined for caller in callers), return_exceptions=True
        )
        assert results == [trouble, trouble]
        assert not booting

    with_two_callers(tmp_path / "log", play)


def test_failure_that_nobody_waits_for_is_not_complained_of(tmp_path: Path) -> None:
    complaints: list[str] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: complaints.append(context["message"]))
        booting, boot = BootUnderWay(Log(tmp_path / "log", "test")), ScriptedBoot()
        booting.begin(boot.run())
        await boot.begun.wait()
        boot.fail(BangerError(Code.NO_SPACE, "the disk is full"))
        async with asyncio.timeout(SECONDS):
            await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
        assert not booting

    asyncio.run(scenario())
    assert complaints == []


def test_giving_up_returns_when_the_boot_has_undone_what_it_had_begun(tmp_path: Path) -> None:
    async def play(booting: BootUnderWay, boot: ScriptedBoot, callers: list[Caller]) -> None:
        giving_up = asyncio.create_task(booting.give_up())
        await asyncio.sleep(0)
        assert not boot.undone.is_set()
        assert not giving_up.done()
        boot.cleared.set()
        await giving_up
        assert boot.undone.is_set()
        for caller in callers:
            with pytest.raises(asyncio.CancelledError):
                await caller.joined
        assert not booting

    with_two_callers(tmp_path / "log", play)


def test_boot_that_begins_as_another_ends_is_the_one_that_is_joined(tmp_path: Path) -> None:
    """The guest reboots itself in the moment that its first boot is over."""

    async def scenario() -> None:
        async with asyncio.timeout(SECONDS):
            booting = BootUnderWay(Log(tmp_path / "log", "test"))
            first, second = ScriptedBoot(), ScriptedBoot()
            booting.begin(first.run())
            await first.begun.wait()
            first.succeed()
            booting.begin(second.run())
            await second.begun.wait()
            caller = Caller(booting)
            await asyncio.sleep(0)
            assert booting
            assert not caller.joined.done()
            second.succeed()
            await caller.joined

    asyncio.run(scenario())


def test_without_a_boot_there_is_nothing_to_wait_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        booting = BootUnderWay(Log(tmp_path / "log", "test"))
        async with asyncio.timeout(SECONDS):
            await booting.join(lambda _stage, _words: None)
            await booting.give_up()
            booting.cancel()
        assert not booting

    asyncio.run(scenario())
