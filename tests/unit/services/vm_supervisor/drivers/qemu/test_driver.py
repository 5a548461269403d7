"""A QEMU that hangs. What one does that is well: tests/contract."""

import asyncio
import os
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.contract import VmPlace
from services.vm_supervisor.drivers.qemu import driver as qemu
from services.vm_supervisor.drivers.qemu.driver import QemuDriver
from shared.errors import BangerError, Code
from shared.host.process import ProcessId, start_time
from shared.vm import files
from tests.unit.services.vm_supervisor.serving import serving


def test_one_that_does_not_greet_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu, "_CONNECT_SECONDS", 0.05)

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scenario() -> None:
        process = ProcessId(os.getpid(), start_time(os.getpid()) or 0)
        place = VmPlace("0123456789ab", tmp_path, tmp_path)
        async with serving(place.run / files.QMP_SOCKET, silent):
            machine = QemuDriver().adopt(place, process, 0)
            async with asyncio.timeout(10):
                with pytest.raises(BangerError) as caught:
                    await machine.attach()
            assert caught.value.code is Code.TIMEOUT
            await machine.close()

    asyncio.run(scenario())
