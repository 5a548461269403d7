"""A QEMU that hangs, or is gone. What one does that is well: tests/contract."""

import asyncio
import os
from collections.abc import Awaitable
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.qemu import control as under_test
from services.vm_supervisor.drivers.qemu.control import QmpControl
from shared.errors import BangerError, Code
from shared.host.process import ProcessId, Watch, start_time
from tests.unit.services.vm_supervisor.serving import serving


def own_watch() -> Watch:
    return Watch(ProcessId(os.getpid(), start_time(os.getpid()) or 0))


async def refusal(action: Awaitable[object]) -> Code:
    with pytest.raises(BangerError) as caught:
        await action
    return caught.value.code


def test_one_that_does_not_greet_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "CONNECT_SECONDS", 0.05)

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scenario() -> None:
        watch = own_watch()
        async with serving(tmp_path / "qmp", silent), asyncio.timeout(10):
            assert await refusal(QmpControl(watch, tmp_path / "qmp").connect()) is Code.TIMEOUT
        watch.close()

    asyncio.run(scenario())


def test_nothing_is_sent_before_there_is_a_connection(tmp_path: Path) -> None:
    async def scenario() -> None:
        watch = own_watch()
        control = QmpControl(watch, tmp_path / "qmp")
        with pytest.raises(BangerError) as caught:
            control.send_descriptor(0)
        assert caught.value.code is Code.NOT_RUNNING
        assert await refusal(control.execute("stop")) is Code.NOT_RUNNING
        await control.disconnect()  # nothing happens
        watch.close()

    asyncio.run(scenario())
