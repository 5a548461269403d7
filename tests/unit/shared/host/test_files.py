"""Atomic writes: the old content or the new, never half of it, and nothing left behind."""

import errno
import os
import stat
from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from shared.host.files import (
    RESERVE,
    free_bytes,
    is_full,
    move_into_place,
    require_space,
    write_atomically,
)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_content_and_mode_arrive_and_nothing_else_stays(tmp_path: Path) -> None:
    write_atomically(tmp_path / "key", b"secret")
    write_atomically(tmp_path / "known", b"public", mode=0o644)
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "known").stat().st_mode & 0o777 == 0o644
    assert names(tmp_path) == ["key", "known"]


def test_reader_of_the_old_file_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "handle.json"
    write_atomically(path, b"old")
    with path.open("rb") as reader:
        write_atomically(path, b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


def test_content_is_on_disk_before_the_name_and_the_name_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    synced: list[tuple[bool, bool]] = []
    fsync = os.fsync

    def watched(fd: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(fd).st_mode), path.exists()))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", watched)
    write_atomically(path, b"x")
    assert synced == [(False, False), (True, True)]  # the file, then the directory


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_no_space_and_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "f"
    write_atomically(path, b"old")

    def full(fd: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BangerError) as caught:
        write_atomically(path, b"new")
    assert caught.value.code is Code.NO_SPACE
    assert str(path) in caught.value.message
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["f"]


def test_other_failures_are_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "none" / "f", b"x")


def test_a_finished_file_replaces_the_one_of_its_name(tmp_path: Path) -> None:
    draft, path = tmp_path / "draft", tmp_path / "disk"
    draft.write_bytes(b"new")
    path.write_bytes(b"old")
    move_into_place(draft, path)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["disk"]


@pytest.mark.parametrize(
    ("number", "full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EACCES, False)]
)
def test_a_full_disk_and_a_full_quota_are_full(number: int, full: bool) -> None:
    assert is_full(OSError(number, "")) is full


def test_a_directory_that_is_not_there_yet_is_on_the_disk_of_its_parent(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "a" / "b") > 0
    require_space(tmp_path / "a" / "b", 1, "the image x")


def test_what_does_not_fit_says_what_it_needs_and_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as raised:
        require_space(tmp_path, 1 << 62, "the image x")
    error = raised.value
    assert error.code is Code.NO_SPACE
    assert "the image x needs 4398046511168 MiB" in error.message
    assert "MiB is free" in error.message
    assert error.details["needed"] == (1 << 62) + RESERVE
    assert "banger system df" in error.hint


def test_a_hint_of_the_caller_comes_first(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as raised:
        require_space(tmp_path, 1 << 62, "the build", hint="set TMPDIR")
    assert raised.value.hint == "set TMPDIR"
