"""Saving and loading: what is asked of the scripted monitor, and what is told of a refusal."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from services.vm_supervisor.drivers.qemu.migration import Migration
from shared.errors import BangerError, Code
from shared.host.retry import poll_async
from shared.vm import files
from tests.scripted.migration import Migration as Qemu
from tests.scripted.monitor import Monitor


class Vmm:
    """A QEMU, paused unless ``runs``; see ``monitor.Machine``. ``knows`` is its guest's memory."""

    def __init__(
        self, memory: Path | None = None, *, share: str = "on", incoming: bool = False,
        runs: bool = False, endless: bool = False,
    ) -> None:  # fmt: skip
        options = {"mem-path": str(memory), "share": share} if memory else {}
        self.paused = not runs
        self.networks: dict[str, dict[str, Any]] = {}
        self.knows: dict[str, Any] = {"word": "secret"}
        self.asked: list[str] = []
        self.migration = Qemu(self, options, incoming=incoming, endless=endless)
        self._monitor = Monitor(self)  # type: ignore[arg-type]
        self.driven = Migration(self._execute, self._receive, os.getpid())

    def remember(self) -> dict[str, Any]:
        return self.knows

    def become(self, memory: dict[str, Any]) -> None:
        self.knows = memory

    def _receive(self, descriptor: int) -> None:
        self.migration.descriptors.append(os.dup(descriptor))

    async def _execute(self, command: str, arguments: dict[str, object] | None) -> object:
        self.asked.append(command)
        request = json.dumps({"execute": command, "arguments": arguments or {}}).encode()
        answer = json.loads(self._monitor.receive(request))
        if "error" in answer:
            raise BangerError(Code.INTERNAL, answer["error"]["desc"])
        return answer["return"]


Scene = Callable[[Path], Coroutine[Any, Any, None]]


def scene(test: Scene) -> Callable[[Path], None]:
    def run(tmp_path: Path) -> None:
        asyncio.run(test(tmp_path))

    run.__name__ = test.__name__
    return run


def memory_of(path: Path, content: bytes = b"") -> Path:
    path.write_bytes(content + b"\0")
    return path


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@scene
async def test_memory_of_its_own_becomes_a_stream(tmp_path: Path) -> None:
    assert await Vmm().driven.save(tmp_path) == "stream"
    assert names(tmp_path) == {files.MEMORY}
    other = Vmm(incoming=True)
    other.knows = {}
    await other.driven.load(tmp_path)
    assert other.knows == {"word": "secret"}
    assert other.paused


@scene
async def test_memory_in_a_file_is_copied_beside_the_device_state(tmp_path: Path) -> None:
    ram, target = memory_of(tmp_path / "ram"), tmp_path / "saved"
    target.mkdir()
    assert await Vmm(ram).driven.save(target) == "file"
    assert names(target) == {files.MEMORY, files.DEVICE_STATE}
    assert b"secret" in (target / files.MEMORY).read_bytes()
    other = Vmm(target / files.MEMORY, share="off", incoming=True)
    other.knows = {}
    await other.driven.load(target)
    assert other.knows == {"word": "secret"}


@scene
async def test_memory_that_is_where_it_is_saved_to_is_not_copied(tmp_path: Path) -> None:
    ram = memory_of(tmp_path / files.MEMORY)
    inode = ram.stat().st_ino
    assert await Vmm(ram).driven.save(tmp_path) == "file"
    assert ram.stat().st_ino == inode


@scene
async def test_memory_that_qemu_inherited_is_found_by_its_process(tmp_path: Path) -> None:
    descriptor = os.memfd_create("guest")
    try:
        os.truncate(descriptor, 1 << 20)
        vmm = Vmm(Path(f"/proc/self/fd/{descriptor}"))
        assert await vmm.driven.save(tmp_path) == "file"
    finally:
        os.close(descriptor)
    assert b"secret" in (tmp_path / files.MEMORY).read_bytes()


@scene
async def test_private_mapping_of_a_saved_memory_becomes_a_stream(tmp_path: Path) -> None:
    ram, target = memory_of(tmp_path / "ram", b"{}"), tmp_path / "saved"
    target.mkdir()
    assert await Vmm(ram, share="off").driven.save(target) == "stream"
    assert ram.read_bytes() == b"{}\0"


@scene
async def test_paused_guest_is_saved_twice_and_stays_paused(tmp_path: Path) -> None:
    vmm = Vmm()
    for _ in range(2):
        assert await vmm.driven.save(tmp_path) == "stream"
        assert vmm.paused
    assert vmm.asked.count("cont") == 1, "QEMU refuses a second migration before that"


@scene
async def test_guest_that_runs_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as caught:
        await Vmm(runs=True).driven.save(tmp_path)
    assert caught.value.code is Code.CONFLICT


@scene
async def test_disk_that_is_full_is_told_and_the_guest_can_go_on(tmp_path: Path) -> None:
    vmm = Vmm()
    (tmp_path / files.MEMORY).symlink_to("/dev/full")
    with pytest.raises(BangerError) as caught:
        await vmm.driven.save(tmp_path)
    assert caught.value.code is Code.NO_SPACE
    assert str(tmp_path) in caught.value.message
    assert await vmm.driven.status() == "paused"


@scene
async def test_directory_that_is_not_there_is_told_before_qemu_writes(tmp_path: Path) -> None:
    vmm = Vmm()
    with pytest.raises(BangerError) as caught:
        await vmm.driven.save(tmp_path / "absent")
    assert caught.value.code is Code.DENIED
    assert "migrate" not in vmm.asked


@scene
async def test_stream_that_was_cut_is_damaged(tmp_path: Path) -> None:
    await Vmm().driven.save(tmp_path)
    stream = tmp_path / files.MEMORY
    stream.write_bytes(stream.read_bytes()[:-1])
    vmm = Vmm(incoming=True)
    with pytest.raises(BangerError) as caught:
        await vmm.driven.load(tmp_path)
    assert caught.value.code is Code.INVALID
    assert "migrate-incoming" not in vmm.asked


@scene
async def test_qemu_that_never_ends_a_save_is_told_to_give_up(tmp_path: Path) -> None:
    vmm = Vmm()
    vmm.migration._outcome = {"status": "active"}
    saving = asyncio.create_task(vmm.driven._finished())
    await asyncio.sleep(0)
    assert not saving.done()
    vmm.migration._outcome = {"status": "completed"}
    assert await saving == {"status": "completed"}


@scene
async def test_a_save_that_another_supervisor_has_begun_is_ended(tmp_path: Path) -> None:
    """Else the guest, which runs on, would be stopped at its end."""
    vmm = Vmm(endless=True)
    saving = asyncio.create_task(vmm.driven.save(tmp_path))
    assert await poll_async(lambda: "query-migrate" in vmm.asked, time.monotonic() + 5, pause=0.001)
    successor = Migration(vmm._execute, vmm._receive)
    await successor.abandon()
    await vmm._execute("cont", None)
    assert not vmm.paused
    with pytest.raises(BangerError, match="cancelled"):
        await saving


@scene
async def test_where_nothing_is_saved_there_is_nothing_to_end(tmp_path: Path) -> None:
    vmm = Vmm()
    await vmm.driven.abandon()
    await vmm.driven.save(tmp_path)
    await vmm.driven.abandon()
    assert "migrate_cancel" not in vmm.asked
