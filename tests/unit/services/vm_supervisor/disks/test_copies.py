"""Copies of a VM's disks, and links to memory that was saved."""

import errno
import os
from pathlib import Path

import pytest

from services.vm_supervisor.disks.copies import (
    copy_disks,
    disk_bytes,
    link_memory,
    link_workspaces,
    occupied,
    require_room,
    shares_blocks,
)
from shared.errors import BangerError, Code
from shared.host.files import write_atomically
from shared.vm import files
from tests.unit.services.vm_supervisor.disks.saved_machines import fill, words


def test_disks_are_copied_and_memory_is_not(tmp_path: Path) -> None:
    fill(tmp_path / "one", "one")
    (tmp_path / "two").mkdir()
    assert copy_disks(tmp_path / "one", tmp_path / "two") in ("reflink", "sparse")
    assert words(tmp_path / "two") == {"overlay.ext4": "one", "work.ext4": "one"}


def test_holes_take_no_space(tmp_path: Path) -> None:
    fill(tmp_path / "one", "one", memory=False)
    os.truncate(tmp_path / "one" / files.WORK_DISK, 1 << 30)
    (tmp_path / "two").mkdir()
    copy_disks(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two" / files.WORK_DISK).stat().st_size == 1 << 30
    assert disk_bytes(tmp_path / "two") < 1 << 20


def test_a_disk_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match=r"overlay\.ext4") as refused:
        copy_disks(tmp_path, tmp_path)
    assert refused.value.code is Code.NOT_FOUND


def test_memory_is_the_same_file(tmp_path: Path) -> None:
    fill(tmp_path / "one", "one", disks=False)
    (tmp_path / "two").mkdir()
    link_memory(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "one" / files.MEMORY).samefile(tmp_path / "two" / files.MEMORY)


def test_memory_is_copied_where_no_links_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    fill(tmp_path / "one", "one", disks=False)
    (tmp_path / "two").mkdir()
    link_memory(tmp_path / "one", tmp_path / "two")
    assert words(tmp_path / "two") == {"device_state": "one", "memory": "one"}


def test_a_file_that_is_not_there_takes_nothing(tmp_path: Path) -> None:
    assert occupied(tmp_path / "none") == 0


def test_room_is_asked_for_with_what_to_do(tmp_path: Path) -> None:
    require_room(tmp_path, 1, "a copy")
    with pytest.raises(BangerError, match="a copy needs") as refused:
        require_room(tmp_path, 1 << 60, "a copy")
    assert refused.value.code is Code.NO_SPACE
    assert "snapshots" in str(refused.value.hint)


def test_what_is_known_of_workspaces_is_the_same_files(tmp_path: Path) -> None:
    source = fill_workspaces(tmp_path / "source")
    (target := tmp_path / "target").mkdir()
    link_workspaces(source, target)
    linked = target / files.WORKSPACES / "record.json"
    assert linked.samefile(source / files.WORKSPACES / "record.json")
    write_atomically(source / files.WORKSPACES / "record.json", b"later")
    assert linked.read_text() == "{}"


def test_a_directory_says_that_there_were_no_workspaces(tmp_path: Path) -> None:
    (target := tmp_path / "target").mkdir()
    link_workspaces(tmp_path / "nothing", target)
    assert list((target / files.WORKSPACES).iterdir()) == []


def test_a_record_that_is_replaced_meanwhile_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill_workspaces(tmp_path / "source")
    (target := tmp_path / "target").mkdir()
    link = os.link

    def replaced(path: Path, to: Path) -> None:
        if path.suffix == ".files":
            path.unlink()
        link(path, to)

    monkeypatch.setattr(os, "link", replaced)
    link_workspaces(source, target)
    assert [path.name for path in (target / files.WORKSPACES).iterdir()] == ["record.json"]


def fill_workspaces(directory: Path) -> Path:
    (directory / files.WORKSPACES).mkdir(parents=True)
    (directory / files.WORKSPACES / "record.json").write_text("{}")
    (directory / files.WORKSPACES / "1.files").write_text("a")
    return directory


def test_a_full_disk_shares_nothing_and_says_so_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("services.vm_supervisor.disks.copies.copy_sparse", refuse)
    assert not shares_blocks(tmp_path)
    assert not list(tmp_path.iterdir())
