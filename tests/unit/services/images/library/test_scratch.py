import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from services.images.library.scratch import PREFIX, build_area, scratch, sweep
from shared.errors import BangerError, Code


def abandoned(parent: Path, name: str = "crashed") -> Path:
    path = parent / f"{PREFIX}{name}"
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "file").write_bytes(b"half")
    return path


def test_it_is_removed_at_the_end_with_all_that_is_in_it(tmp_path: Path) -> None:
    with scratch(tmp_path) as work:
        (work.path / "tree").mkdir()
        (work.path / "tree" / "file").touch()
        assert work.path.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_the_parent_is_made_when_it_is_missing(tmp_path: Path) -> None:
    with scratch(tmp_path / "data" / "images") as work:
        assert work.path.parent == tmp_path / "data" / "images"


def test_a_parent_that_cannot_be_written_is_an_error_with_advice(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BangerError) as raised, scratch(tmp_path / "file"):
        pytest.fail("must not get here")
    assert raised.value.code is Code.DENIED
    assert "ls -ld" in raised.value.hint


def test_a_sweep_removes_what_was_abandoned_and_nothing_else(tmp_path: Path) -> None:
    left = abandoned(tmp_path)
    (tmp_path / "0123456789abcdef").mkdir()
    (tmp_path / f"{PREFIX}file").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    assert sweep(tmp_path) == [left]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"0123456789abcdef", "elsewhere", f"{PREFIX}file", f"{PREFIX}link"}


def test_a_sweep_leaves_work_in_progress_alone(tmp_path: Path) -> None:
    with scratch(tmp_path) as work:
        assert sweep(tmp_path) == []
        assert work.path.is_dir()


def test_a_program_that_outlives_its_service_keeps_the_lock(tmp_path: Path) -> None:
    left = abandoned(tmp_path)
    lock = os.open(left, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[lock]) as orphan:
        os.close(lock)  # the service is gone
        assert sweep(tmp_path) == []
        orphan.communicate()
    assert sweep(tmp_path) == [left]


def test_sweeping_a_place_that_is_not_there_finds_nothing(tmp_path: Path) -> None:
    assert sweep(tmp_path / "nowhere") == []


def test_the_build_area_follows_tmpdir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/large")
    assert build_area() == Path("/large")
    monkeypatch.delenv("TMPDIR")
    assert build_area() == Path("/var/tmp")
