"""Directories of transfers, of this service and of one before it."""

import fcntl
import os
from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from shared.workers.area import make_directory, remove_directory, sweep


def test_a_directory_is_private(tmp_path: Path) -> None:
    path = make_directory(tmp_path / "transfers", "one")
    assert path.stat().st_mode & 0o777 == 0o700


def test_a_name_that_is_there_already_is_refused(tmp_path: Path) -> None:
    make_directory(tmp_path, "one")
    with pytest.raises(BangerError) as raised:
        make_directory(tmp_path, "one")
    assert raised.value.code is Code.DENIED


def test_all_that_is_in_it_is_removed_and_nothing_that_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    path = make_directory(tmp_path / "transfers", "one")
    (path / "objects").mkdir()
    (path / "objects" / "a").write_text("")
    (path / "objects" / "a").chmod(0o444)
    (path / "link").symlink_to(tmp_path / "kept")
    assert remove_directory(path)
    assert (tmp_path / "kept").is_dir()


def test_what_an_earlier_service_left_is_swept(tmp_path: Path) -> None:
    path = make_directory(tmp_path, "one")
    assert sweep(tmp_path, 0.0) == [path]
    assert not path.exists()


def test_a_worker_that_is_ending_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    path = make_directory(tmp_path, "one")
    lock = os.open(path, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert sweep(tmp_path, 0.1) == [path]
    assert not path.exists()
    os.close(lock)


def test_no_area_is_an_empty_one(tmp_path: Path) -> None:
    assert sweep(tmp_path / "none", 0.0) == []
