"""Files of a git directory that are read or copied, and those that are not."""

import os
from pathlib import Path

import pytest

from services.workspaces.repository.regular_file import copy_regular, open_regular, read_start
from shared.errors import BangerError, Code


def test_a_copy_keeps_the_time_of_change(tmp_path: Path) -> None:
    source = tmp_path / "index"
    source.write_bytes(b"content")
    os.utime(source, ns=(1_234_567_890, 9_876_543_210))
    assert copy_regular(source, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"content"
    assert (tmp_path / "copy").stat().st_mtime_ns == 9_876_543_210


def test_what_is_not_there_is_not_copied(tmp_path: Path) -> None:
    assert not copy_regular(tmp_path / "missing", tmp_path / "copy")
    (tmp_path / "file").touch()
    assert not copy_regular(tmp_path / "file" / "below", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_fifo_and_a_directory_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(BangerError) as raised, open_regular(path):
            pass
        assert raised.value.code is Code.INVALID


def test_no_more_is_read_than_the_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    assert read_start(tmp_path / "file", 4) == b"0123"
