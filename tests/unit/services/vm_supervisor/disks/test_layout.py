"""Disks are sparse, made once, whole or not at all, and only grow."""

import os
import subprocess
from pathlib import Path

import pytest

from services.vm_supervisor.disks.layout import (
    create_overlay,
    create_work_disk,
    ensure_work_disk,
    grow,
    growing,
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
    create_overlay(tmp_path / "overlay", 4 * GIB)
    seen = usage(tmp_path / "overlay")
    assert seen.apparent == 4 * GIB
    assert seen.allocated < 4 * GIB // 100


def test_a_disk_has_a_journal_for_what_was_synced_before_a_kill(tmp_path: Path) -> None:
    create_work_disk(tmp_path / "work", GIB)
    assert "has_journal" in superblock(tmp_path / "work")


def test_a_disk_that_is_there_is_left_alone(tmp_path: Path) -> None:
    disk = tmp_path / "work"
    disk.write_bytes(b"precious")
    create_work_disk(disk, GIB)
    assert disk.read_bytes() == b"precious"


def test_a_disk_grows_with_its_filesystem(tmp_path: Path) -> None:
    disk = tmp_path / "work"
    create_work_disk(disk, GIB)
    grow(disk, 2 * GIB)
    assert usage(disk).apparent == 2 * GIB
    assert f"Block count:              {2 * GIB // 4096}\n" in superblock(disk)


@pytest.mark.parametrize("killed_at", ["e2fsck", "resize2fs"])
def test_a_disk_whose_growth_was_interrupted_grows_at_the_next_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    disk = tmp_path / "work"
    ensure_work_disk(disk, GIB)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / killed_at).write_text("#!/bin/sh\nkill -9 $$\n")
    (tools / killed_at).chmod(0o755)
    with monkeypatch.context() as context:
        context.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        assert killed_at in ensure_work_disk(disk, 2 * GIB)
    assert ensure_work_disk(disk, 2 * GIB) == ""
    assert f"Block count:              {2 * GIB // 4096}\n" in superblock(disk)
    assert not growing(disk).exists()


def test_a_filesystem_that_cannot_be_grown_is_no_obstacle_to_a_boot(tmp_path: Path) -> None:
    disk = tmp_path / "work"
    disk.write_bytes(b"\x1b[2J" * (4 << 20))
    for _ in range(2):
        words = ensure_work_disk(disk, GIB)
        assert words.startswith("e2fsck failed")
        assert words.isprintable()


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
    create_work_disk(disk, GIB)
    with pytest.raises(BangerError, match="cannot shrink") as caught:
        grow(disk, GIB // 2)
    assert caught.value.code is Code.INVALID


def test_a_size_that_is_no_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match="too small"):
        create_overlay(tmp_path / "overlay", 0)
    assert list(tmp_path.iterdir()) == []


def test_usage_of_no_disk_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as caught:
        usage(tmp_path / "absent")
    assert caught.value.code is Code.NOT_FOUND
