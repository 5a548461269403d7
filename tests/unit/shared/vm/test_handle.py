"""A handle is believed only whole, for this boot, and for this very process."""

import os
from pathlib import Path

import msgspec
import pytest

from shared.contract.ssh_access import Access
from shared.host.boot_id import host_boot_id
from shared.host.process import start_time
from shared.vm.handle import (
    Handle,
    handle_path,
    mend_handle,
    read_handle,
    remove_handle,
    write_handle,
)


def own_handle() -> Handle:
    """A handle of a process that certainly runs: this one."""
    access = Access(host="127.77.0.2", port=22, key="k", known_hosts="h", alias="a", control="c")
    born = start_time(os.getpid())
    assert born is not None
    return Handle(
        vm_id="0123456789ab",
        host_boot=host_boot_id(),
        pid=os.getpid(),
        start_time=born,
        vmm="qemu",
        accel="tcg",
        access=access,
    )


def test_handle_comes_back_and_its_process_lives(tmp_path: Path) -> None:
    write_handle(tmp_path, own_handle())
    handle = read_handle(tmp_path)
    assert handle == own_handle()
    assert handle.alive
    assert handle.process.pid == os.getpid()


def test_handle_of_an_earlier_version_is_read_with_nothing_published(tmp_path: Path) -> None:
    fields = msgspec.to_builtins(own_handle())
    del fields["publish"]
    handle_path(tmp_path).write_bytes(msgspec.json.encode(fields))
    handle = read_handle(tmp_path)
    assert handle
    assert handle.publish == []


def test_reused_pid_is_not_our_process() -> None:
    handle = own_handle()
    handle.start_time += 1
    assert not handle.alive


def test_pid_of_nobody_is_not_alive() -> None:
    handle = own_handle()
    handle.pid = 2**22 + 1  # above the kernel's PID_MAX_LIMIT
    assert not handle.alive


def test_nothing_lives_on_from_another_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = own_handle()
    monkeypatch.setenv("BANGER_HOST_BOOT_ID", "after the reboot")
    assert not handle.alive


def test_truncated_handle_is_read_from_its_copy_and_mended(tmp_path: Path) -> None:
    handle = own_handle()
    write_handle(tmp_path, handle)
    whole = handle_path(tmp_path).read_bytes()
    assert not mend_handle(tmp_path, handle)
    for length in range(len(whole)):
        handle_path(tmp_path).write_bytes(whole[:length])
        assert read_handle(tmp_path) == handle
    assert mend_handle(tmp_path, handle)
    assert handle_path(tmp_path).read_bytes() == whole


def test_two_truncated_copies_are_no_handle(tmp_path: Path) -> None:
    write_handle(tmp_path, own_handle())
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:10])
    assert read_handle(tmp_path) is None


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[]", b"{}", b'{"pid": "x"}', b"\x00" * 100])
def test_foreign_content_is_no_handle(tmp_path: Path, content: bytes) -> None:
    handle_path(tmp_path).write_bytes(content)
    assert read_handle(tmp_path) is None


def test_handle_of_another_version_is_left_alone(tmp_path: Path) -> None:
    handle = own_handle()
    handle.version = 99
    write_handle(tmp_path, handle)
    assert read_handle(tmp_path) is None


def test_fields_of_a_newer_program_are_ignored(tmp_path: Path) -> None:
    fields = msgspec.to_builtins(own_handle()) | {"snapshot": "s1"}
    handle_path(tmp_path).write_bytes(msgspec.json.encode(fields))
    assert read_handle(tmp_path) == own_handle()


def test_removing_twice_is_fine(tmp_path: Path) -> None:
    write_handle(tmp_path, own_handle())
    remove_handle(tmp_path)
    remove_handle(tmp_path)
    assert read_handle(tmp_path) is None
