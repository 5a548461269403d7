"""Disks are sparse, made once, whole or not at all, and only grow."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from services.vm_supervisor.disks.layout import (
    ensure_overlay,
    ensure_work_disk,
    extend,
    refuse_lost,
    usage,
)
from shared.errors import BangerError, Code
from shared.vm import files

GIB = 1 << 30


def superblock(disk: Path) -> str:
    argv = ["dumpe2fs", "-h", str(disk)]
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin", "LC_ALL": "C"}
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=environment).stdout


def test_a_new_disk_takes_a_hundredth_of_its_size(tmp_path: Path) -> None:
    ensure_overlay(tmp_path / "overlay", 4 * GIB)
    seen = usage(tmp_path / "overlay")
    assert seen.apparent == 4 * GIB
    assert seen.allocated < 4 * GIB // 100


def test_a_disk_has_a_journal_for_what_was_synced_before_a_kill(tmp_path: Path) -> None:
    ensure_work_disk(tmp_path / "work", GIB)
    assert "has_journal" in superblock(tmp_path / "work")


def test_a_disk_that_is_there_is_left_alone(tmp_path: Path) -> None:
    disk = tmp_path / "work"
    disk.write_bytes(b"precious")
    ensure_work_disk(disk, 8)
    assert disk.read_bytes() == b"precious"


@pytest.mark.parametrize("ensure", [ensure_overlay, ensure_work_disk])
def test_a_disk_is_extended_and_what_the_guest_has_written_is_read_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ensure: Callable[[Path, int], None]
) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"\x1b[2J")
    monkeypatch.setenv("PATH", str(tmp_path))  # no program could be run
    ensure(disk, GIB)
    assert usage(disk).apparent == GIB
    assert disk.read_bytes()[:4] == b"\x1b[2J"


def test_a_vm_that_has_never_run_may_be_without_disks(tmp_path: Path) -> None:
    refuse_lost(tmp_path)


@pytest.mark.parametrize("lost", [files.OVERLAY, files.WORK_DISK])
def test_a_disk_of_a_vm_that_has_run_is_not_made_anew(tmp_path: Path, lost: str) -> None:
    for name in {files.OVERLAY, files.WORK_DISK, files.CONSOLE_LOG} - {lost}:
        (tmp_path / name).touch()
    with pytest.raises(BangerError) as caught:
        refuse_lost(tmp_path)
    assert caught.value.code is Code.NOT_FOUND
    assert str(tmp_path / lost) in caught.value.message
    (tmp_path / lost).touch()
    refuse_lost(tmp_path)


def test_a_disk_does_not_shrink(tmp_path: Path) -> None:
    disk = tmp_path / "work"
    ensure_work_disk(disk, GIB)
    extend(disk, GIB // 2)
    assert usage(disk).apparent == GIB


def test_a_size_that_is_no_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match="too small"):
        ensure_overlay(tmp_path / "overlay", 0)
    assert list(tmp_path.iterdir()) == []


def test_usage_of_no_disk_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as caught:
        usage(tmp_path / "absent")
    assert caught.value.code is Code.NOT_FOUND
