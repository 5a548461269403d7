"""A handle that cannot be written is told, and written as soon as it can be."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from services.vm_supervisor import handle_file
from services.vm_supervisor.handle_file import keep_handle, note_handle
from shared.logs import Log
from shared.vm.handle import read_handle
from tests.unit.shared.vm.test_handle import own_handle


def full(_descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def some_looks() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_could_not_be_written_is_written_when_there_is_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    run.mkdir()
    handle = own_handle()
    monkeypatch.setattr(handle_file, "LOOK_SECONDS", 0.0)

    async def scenario() -> None:
        with monkeypatch.context() as context:
            context.setattr(os, "fsync", full)
            note_handle(run, handle, Log(log, "test"))
            keeping = asyncio.create_task(keep_handle(run, handle, Log(log, "test")))
            await some_looks()
            assert read_handle(run) is None
        await some_looks()
        keeping.cancel()

    asyncio.run(scenario())
    assert read_handle(run) == handle
    assert log.read_text().count("cannot be mended yet") == 1


def test_handle_that_is_older_than_what_is_known_is_replaced(tmp_path: Path) -> None:
    handle = own_handle()
    note_handle(tmp_path, handle, Log(tmp_path / "log", "test"))
    handle.ports = {"tcp/80": 8080}

    async def scenario() -> None:
        keeping = asyncio.create_task(keep_handle(tmp_path, handle, Log(tmp_path / "log", "test")))
        await some_looks()
        keeping.cancel()

    asyncio.run(scenario())
    assert read_handle(tmp_path) == handle
