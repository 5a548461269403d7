"""Files that are still being written to."""

from pathlib import Path

import pytest

from cli.follow import lines, read
from shared.errors import BangerError, Code


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


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match="no-such-log") as caught:
        next(read(tmp_path / "no-such-log", follow=False))
    assert caught.value.code is Code.NOT_FOUND
