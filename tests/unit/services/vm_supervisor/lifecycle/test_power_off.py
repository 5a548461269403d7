"""How a guest is asked to power off, and when its VMM is ended instead."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from services.vm_supervisor.drivers.contract import ExitReason, VmmExit
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.lifecycle import power_off as under_test
from services.vm_supervisor.lifecycle.power_off import PowerOff
from services.vm_supervisor.running_vm import RunningVm
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.vmm.qemu.info import Qemu


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between questions."""
    monkeypatch.setattr(under_test, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(under_test, "REACHED_SECONDS", 0.0)


class ScriptedMachine:
    """A VMM that ends when it is told to, and remembers how."""

    def __init__(self) -> None:
        self.signals: list[signal.Signals] = []
        self.asked = asyncio.Event()
        self._over = asyncio.Event()

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        self.signals.append(signum)
        self._over.set()

    def switch_off(self) -> None:
        self._over.set()

    async def ended(self) -> VmmExit:
        await self._over.wait()
        return VmmExit(ExitReason.POWEROFF, "")


class ScriptedAgent:
    """Does not answer ``misses`` times, then the guest does as it is asked."""

    def __init__(self, machine: ScriptedMachine, misses: int = 0) -> None:
        self._machine = machine
        self._misses = misses

    async def power_off(self, _deadline: float, *, by_reset: bool = False) -> None:
        if self._misses:
            self._misses -= 1
            raise BangerError(Code.TIMEOUT, "the guest agent did not answer guest-exec")
        self._machine.switch_off()


def guest_of(machine: ScriptedMachine, *, ready: bool = True) -> RunningVm:
    handle = SimpleNamespace(ready=ready)
    return cast(RunningVm, SimpleNamespace(machine=machine, handle=handle, info=Qemu()))


def stopped(
    log: Path, agent: Callable[[ScriptedMachine], ScriptedAgent | None], *, ready: bool = True
) -> list[signal.Signals]:
    """The signals that the VMM got before it ended, of an hour that it might have had."""

    async def scenario() -> list[signal.Signals]:
        machine = ScriptedMachine()
        guest = guest_of(machine, ready=ready)
        answers = cast(Callable[[], Agent | None], lambda: agent(machine))
        async with asyncio.timeout(10):
            await PowerOff(guest, answers, Log(log, "test")).run(time.monotonic() + 3600)
        return machine.signals

    return asyncio.run(scenario())


def test_guest_that_is_slow_to_answer_gets_all_its_time(tmp_path: Path) -> None:
    agents: list[ScriptedAgent] = []

    def same(machine: ScriptedMachine) -> ScriptedAgent:
        agents[:] = agents or [ScriptedAgent(machine, misses=5)]
        return agents[0]

    assert stopped(tmp_path / "log", same) == []


def test_a_request_that_may_have_arrived_is_not_forgotten(tmp_path: Path) -> None:
    """The agent of a guest on its way down answers late, and then not at all."""
    codes = [Code.TIMEOUT, Code.UNAVAILABLE]
    asked = asyncio.Event()

    class Leaving(ScriptedAgent):
        async def power_off(self, _deadline: float, *, by_reset: bool = False) -> None:
            code = codes.pop(0)
            if not codes:
                asked.set()
            raise BangerError(code, "no answer")

    async def scenario() -> None:
        machine = ScriptedMachine()
        agent = cast(Agent, Leaving(machine))
        log = Log(tmp_path / "log", "test")
        off = PowerOff(guest_of(machine), lambda: agent if codes else None, log)
        asking = asyncio.create_task(off.run(time.monotonic() + 3600))
        await asked.wait()
        asking.cancel()
        await asyncio.wait({asking})
        assert off.may_follow

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_agent_that_is_not_reached_yet_is_waited_for(tmp_path: Path) -> None:
    looks = iter([None, None, None])

    def later(machine: ScriptedMachine) -> ScriptedAgent | None:
        return next(looks, ScriptedAgent(machine))

    assert stopped(tmp_path / "log", later) == []


def test_guest_that_was_never_ready_is_ended_at_once(tmp_path: Path) -> None:
    assert stopped(tmp_path / "log", lambda _: None, ready=False) == [signal.SIGTERM]


class HungMachine(ScriptedMachine):
    """Ends by SIGKILL alone, and does not answer when it is to resume."""

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        if signum is signal.SIGKILL:
            super().kill(signum)
        else:
            self.signals.append(signum)
            self.asked.set()

    async def resume(self) -> None:
        await asyncio.Event().wait()


def test_vmm_that_was_asked_to_end_ends_though_nobody_waits_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "TERM_SECONDS", 0.05)

    async def scenario() -> list[signal.Signals]:
        machine = HungMachine()
        off = PowerOff(guest_of(machine), lambda: None, Log(tmp_path / "log", "test"))
        stop = asyncio.create_task(off.run(time.monotonic()))
        await machine.asked.wait()
        stop.cancel()
        async with asyncio.timeout(10):
            await machine.ended()
        return machine.signals

    assert asyncio.run(scenario()) == [signal.SIGTERM, signal.SIGKILL]


def test_guest_that_cannot_be_resumed_is_ended_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "TERM_SECONDS", 0.05)

    async def scenario() -> list[signal.Signals]:
        machine = HungMachine()
        log = Log(tmp_path / "log", "test")
        off = PowerOff(guest_of(machine), lambda: None, log, paused=True)
        async with asyncio.timeout(10):
            await off.run(time.monotonic() + 0.05)
        return machine.signals

    assert asyncio.run(scenario()) == [signal.SIGTERM, signal.SIGKILL]
