"""What is left when the undoing of a creation fails. All else: tests/integration."""

import asyncio
import os
import signal
from typing import Any

import pytest

from services.api.machines import control as machines
from services.api.verbs.create import Creation
from shared.config import Config
from shared.contract.verb import Request, Result
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.paths import Paths
from tests.example import example_vm
from tests.unit.services.api.conftest import program

VM = example_vm(state="starting")


class Alone(Creation):
    """An api whose nat refuses everything; says what it asked of others."""

    asked: list[str]

    async def ask(self, request: Request[Result], **_: Any) -> Result:
        self.asked.append(f"{request.service} {request.verb.name}")
        raise BangerError(Code.DENIED, "no")


def test_vmm_that_cannot_be_ended_keeps_its_disks_and_its_row(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    monkeypatch.setattr(machines, "SUCCESSOR_SECONDS", 0.0)
    paths.vm_state(VM.id).mkdir(parents=True)

    async def undo() -> None:
        api = Alone(paths, Log(paths.log_file("api"), "api"), Config())
        api.asked = []
        async with asyncio.timeout(10):
            assert await api._undo(VM) == ["no"]
        assert api.asked == ["nat nat.unjail"]
        assert paths.vm_state(VM.id).exists()
        api.link.close()

    vmm = "print('up', flush=True); import sys; sys.stdin.read()"
    with program(vmm, "-name", f"banger-{VM.id}") as process:
        asyncio.run(undo())
        os.kill(process.pid, 0)
