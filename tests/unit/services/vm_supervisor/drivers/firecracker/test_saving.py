"""What was saved is taken out without its zeros, and what is wrong with it is told in words."""

import asyncio
import os
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.firecracker import saving
from services.vm_supervisor.drivers.firecracker.saving import (
    check_room,
    copy_with_holes,
    take_out,
    undisturbed,
    unloaded,
    unsaved,
)
from shared.errors import BangerError, Code
from shared.vm import files

MIB = 1 << 20
RESTORE = "Load snapshot error: Failed to restore from snapshot: "
BUILD = (
    f"{RESTORE}Failed to build microVM from snapshot: Failed to restore MMIO device: "
    "Cannot restore devices: "
)
STATE = (
    f"{RESTORE}Failed to get snapshot state from file: Failed to load snapshot state from file: "
)


def _allocated(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_pages_of_zeros_become_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "s", tmp_path / "t"
    content = bytes(MIB) + b"data" + bytes(MIB - 4) + b"end"
    source.write_bytes(content)
    copy_with_holes(source, target)
    assert target.read_bytes() == content
    assert _allocated(target) < MIB / 2


def test_holes_stay_holes_and_a_file_of_nothing_else_keeps_its_size(tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.touch()
    os.truncate(source, 64 * MIB + 1)
    copy_with_holes(source, tmp_path / "t")
    assert (tmp_path / "t").stat().st_size == 64 * MIB + 1
    assert _allocated(tmp_path / "t") == 0


def test_what_is_taken_out_is_the_vmms_no_longer(tmp_path: Path) -> None:
    (tmp_path / "saving").mkdir()
    (tmp_path / "target").mkdir()
    for name in (files.MEMORY, files.DEVICE_STATE):
        (tmp_path / "saving" / name).write_bytes(name.encode())
    take_out(tmp_path / "saving", tmp_path / "target")
    for name in (files.MEMORY, files.DEVICE_STATE):
        assert (tmp_path / "target" / name).read_bytes() == name.encode()
        assert (tmp_path / "saving" / name).stat().st_size == 0


def test_a_cancel_is_heard_when_the_work_has_ended() -> None:
    async def scenario() -> None:
        go, done = asyncio.Event(), []

        async def work() -> None:
            await go.wait()
            done.append(True)

        task = asyncio.create_task(undisturbed(work()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done

    asyncio.run(scenario())


def test_after_a_save_that_failed_there_is_nothing_to_take_out(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    take_out(tmp_path / "absent", tmp_path / "target")
    (tmp_path / files.MEMORY).write_bytes(b"half")
    (tmp_path / files.DEVICE_STATE).touch()
    take_out(tmp_path, tmp_path / "target")
    assert not list((tmp_path / "target").iterdir())
    assert (tmp_path / files.MEMORY).stat().st_size == 0


def test_a_state_without_an_end_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "STATE_MAX", 3)
    (tmp_path / files.DEVICE_STATE).write_bytes(b"four")
    with pytest.raises(BangerError) as caught:
        take_out(tmp_path, tmp_path)
    assert caught.value.code is Code.GUEST_FAILED


def test_a_disk_that_is_too_full_is_told_before_anything_is_written(tmp_path: Path) -> None:
    check_room(tmp_path, MIB)
    with pytest.raises(BangerError) as caught:
        check_room(tmp_path, 1 << 60)
    assert caught.value.code is Code.NO_SPACE


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (f"{STATE}CRC64 validation failed: 2221454397851236723", Code.INVALID, "CRC64"),
        (f"{STATE}Snapshot file is smaller than CRC length.", Code.INVALID, "smaller"),
        (
            f"{RESTORE}Failed to load guest memory: Error creating guest memory from file: Failed "
            "to load guest memory: No such file or directory (os error 2)",
            Code.INVALID,
            "No such file",
        ),
        (f"{STATE}Invalid data version: 5.0.0", Code.INCOMPATIBLE, "another version"),
        (
            f"{BUILD}Block: Virtio backend error: Error manipulating the backing file: No such "
            "file or directory (os error 2) disks/overlay",
            Code.NOT_FOUND,
            "disks/overlay",
        ),
        (
            f"{BUILD}Net: Failed to create a network device: Open tap device failed: Error while "
            "creating ifreq structure: Resource busy (os error 16). Invalid TUN/TAP Backend",
            Code.CONFLICT,
            "Resource busy",
        ),
        (
            f"{BUILD}VsockUnixBackend: Error binding to the host-side Unix socket: Address in use",
            Code.CONFLICT,
            "Address in use",
        ),
        (f"{RESTORE}Failed to restore vCPUs: MSR 0x11", Code.INCOMPATIBLE, "processor"),
        ("something new", Code.GUEST_FAILED, "something new"),
        ("", Code.GUEST_FAILED, "refused"),
    ],
)
def test_every_refusal_has_a_code_and_the_last_of_its_words(
    fault: str, code: Code, said: str
) -> None:
    error = unloaded(fault, Path("/state/vmm.log"))
    assert error.code is code
    assert said in error.message
    assert "vmm.log" in error.hint
    assert len(error.message) < 250


def test_a_full_disk_has_its_own_code() -> None:
    full = "Create snapshot error: Cannot write memory file: No space left on device (os error 28)"
    assert unsaved(full, Path("/s")).code is Code.NO_SPACE
    assert unsaved("Create snapshot error: x", Path("/s")).code is Code.CONFLICT
