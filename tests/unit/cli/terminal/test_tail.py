"""Files that are still being written to."""

import shutil
from itertools import takewhile
from pathlib import Path

import pytest

from cli.terminal.tail import GONE_SECONDS, lines, read
from shared.errors import BangerError, Code
from shared.host.files import sync
from shared.log_limit import free_beginning


def test_without_follow_it_ends_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"one\ntwo\nhalf")
    assert list(lines(file, follow=False)) == [b"one", b"two", b"half"]


def test_followed_lines_come_when_they_are_whole(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"one\nha")
    following = iter(lines(file, follow=True))
    assert next(following) == b"one"
    with file.open("ab") as more:
        more.write(b"lf\n")
    assert next(following) == b"half"


def test_a_file_that_was_rotated_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"old")
    following = read(file, follow=True)
    assert next(following) == b"old"
    file.rename(tmp_path / "log.1")
    file.write_bytes(b"new")
    assert next(following) == b"new"


def test_what_was_written_just_before_the_rotation_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"old")

    def rotate(_seconds: float) -> None:
        with file.open("ab") as more:
            more.write(b"last")
        file.rename(tmp_path / "log.1")
        file.write_bytes(b"new")

    monkeypatch.setattr("cli.terminal.tail.time.sleep", rotate)
    following = read(file, follow=True)
    assert [next(following) for _ in range(3)] == [b"old", b"last", b"new"]


def test_following_ends_with_the_directory(tmp_path: Path) -> None:
    """As when a VM is deleted."""
    file = tmp_path / "vm/log"
    file.parent.mkdir()
    file.write_bytes(b"old")
    following = read(file, follow=True)
    assert next(following) == b"old"
    with file.open("ab") as more:
        more.write(b"last")
    shutil.rmtree(file.parent)
    assert list(following) == [b"last"]


def test_following_ends_when_no_new_file_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"old")
    now = [0.0]
    monkeypatch.setattr("cli.terminal.tail.time.monotonic", lambda: now[0])
    monkeypatch.setattr(
        "cli.terminal.tail.time.sleep", lambda seconds: now.append(now.pop() + seconds)
    )
    following = read(file, follow=True)
    assert next(following) == b"old"
    file.unlink()
    assert list(following) == []
    assert GONE_SECONDS < now[0] < 2 * GONE_SECONDS


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match="no-such-log") as caught:
        next(read(tmp_path / "no-such-log", follow=False))
    assert caught.value.code is Code.NOT_FOUND


def test_freed_beginning_is_skipped_without_being_read(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("wb") as written:
        written.truncate(1 << 40)  # a terabyte of zeros would take minutes
        written.seek(1 << 40)
        written.write(b"one\ntwo\n")
    assert list(lines(file, follow=False)) == [b"one", b"two"]


def test_what_is_freed_while_it_is_followed_is_skipped_too(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"old\n")
    following = lines(file, follow=True)
    assert next(following) == b"old"
    with file.open("ab") as written:
        written.write(b"flood\n" * (1 << 19) + b"new\n")
    sync(file)
    assert free_beginning(file, 4096)
    read_on = list(takewhile(lambda line: line != b"new", following))
    assert len(read_on) < 2000
    assert set(read_on[1:]) == {b"flood"}
