"""How a guest is asked to power off, and when its VMM is ended instead."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from services.vm_supervisor import power_off as under_test
from services.vm_supervisor.boot import Guest
from services.vm_supervisor.drivers.driver import Capabilities, End, EndReason
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.power_off import power_off
from shared.errors import BangerError, Code
from shared.logs import Log


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between questions."""
    monkeypatch.setattr(under_test, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(under_test, "REACHED_SECONDS", 0.0)


class ScriptedMachine:
    """A VMM that ends when it is told to, and remembers how."""

    def __init__(self) -> None:
        self.signals: list[signal.Signals] = []
        self._over = asyncio.Event()

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        self.signals.append(signum)
        self._over.set()

    def switch_off(self) -> None:
        self._over.set()

    async def ended(self) -> End:
        await self._over.wait()
        return End(EndReason.POWEROFF, "")


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


def stopped(
    log: Path, agent: Callable[[ScriptedMachine], ScriptedAgent | None], *, ready: bool = True
) -> list[signal.Signals]:
    """The signals that the VMM got before it ended, of an hour that it might have had."""

    async def scenario() -> list[signal.Signals]:
        machine = ScriptedMachine()
        handle, able = SimpleNamespace(ready=ready), Capabilities(True, "virtio-serial")
        guest = cast(Guest, SimpleNamespace(machine=machine, handle=handle, capabilities=able))
        answers = cast(Callable[[], Agent | None], lambda: agent(machine))
        async with asyncio.timeout(10):
            await power_off(guest, answers, time.monotonic() + 3600, Log(log, "test"))
        return machine.signals

    return asyncio.run(scenario())


def test_guest_that_is_slow_to_answer_gets_all_its_time(tmp_path: Path) -> None:
    agents: list[ScriptedAgent] = []

    def same(machine: ScriptedMachine) -> ScriptedAgent:
        agents[:] = agents or [ScriptedAgent(machine, misses=5)]
        return agents[0]

    assert stopped(tmp_path / "log", same) == []


def test_agent_that_is_not_reached_yet_is_waited_for(tmp_path: Path) -> None:
    looks = iter([None, None, None])

    def later(machine: ScriptedMachine) -> ScriptedAgent | None:
        return next(looks, ScriptedAgent(machine))

    assert stopped(tmp_path / "log", later) == []


def test_guest_that_was_never_ready_is_ended_at_once(tmp_path: Path) -> None:
    assert stopped(tmp_path / "log", lambda _: None, ready=False) == [signal.SIGTERM]
