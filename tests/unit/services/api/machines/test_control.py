"""A VMM without a supervisor, and a bus that says what was asked of it."""

import asyncio
import os
import signal
from typing import Any

import msgspec
import pytest

from services.api.machines import control as machines
from services.api.machines.control import Machines
from shared.bus.actor import Actor
from shared.contract.verb import Request, Result
from shared.contract.verbs import nat
from shared.logs import Log
from shared.paths import Paths
from shared.vmm.search import find_vmm
from tests.example import example_vm
from tests.unit.services.api.conftest import program
from tests.unit.services.api.machines.test_supervisors import Told, supervisors

VM = example_vm(state="failed")
VMM = "print('up', flush=True); import sys; sys.stdin.read()"


class Bus(Actor):
    """Notes what is asked of other services; its nat ends the VMM, as that of a jail does."""

    def __init__(self, paths: Paths, vmm: int) -> None:
        super().__init__("api", paths, Log(paths.log_file("api"), "api"))
        self._vmm = vmm
        self.asked: list[tuple[str, Any]] = []

    async def ask(self, request: Request[Result], **_: Any) -> Result:
        self.asked.append((f"{request.service} {request.verb.name}", request.body))
        if request.verb is nat.UNJAIL:
            os.kill(self._vmm, signal.SIGKILL)
            return msgspec.convert(None, request.verb.result)
        return msgspec.convert(msgspec.to_builtins(VM), request.verb.result)


@pytest.fixture(autouse=True)
def no_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a supervisor that will not come."""
    monkeypatch.setattr(machines, "SUCCESSOR_SECONDS", 0.0)


def end(paths: Paths, vmm: int, number: signal.Signals) -> list[tuple[str, Any]]:
    async def ask() -> list[tuple[str, Any]]:
        bus, found = Bus(paths, vmm), supervisors(paths, Told())
        async with asyncio.timeout(10):
            await Machines(bus, found).end(VM, number)
        bus.link.close()
        found.close()
        return bus.asked

    return asyncio.run(ask())


STOPPED = ("store vm.update", {"id": VM.id, "state": "stopped", "reason": ""})


def test_vmm_without_handle_or_supervisor_is_found_and_ended(paths: Paths) -> None:
    with program(VMM, "-name", f"banger-{VM.id}") as vmm:
        assert end(paths, vmm.pid, signal.SIGKILL) == [STOPPED]
        assert find_vmm(VM.id) is None


@pytest.fixture
def of_another_uid(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel refuses our signals, as it does an ordinary user's to a jailed VMM."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)


@pytest.mark.usefixtures("of_another_uid")
def test_jailed_vmm_is_signalled_by_nat(paths: Paths) -> None:
    with program(VMM, "-name", f"banger-{VM.id}") as vmm:
        asked = end(paths, vmm.pid, signal.SIGKILL)
    assert asked == [("nat nat.unjail", {"id": VM.id, "signal": 9}), STOPPED]
