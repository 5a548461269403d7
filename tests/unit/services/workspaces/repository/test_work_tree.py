"""Files of a work tree: what is found, and what lies behind a symlink."""

import os
import stat
from pathlib import Path

import pytest

from services.workspaces.repository.work_tree import WorkTree
from shared.errors import BangerError, Code
from tests.repositories import write


def test_files_are_found_in_any_order(tmp_path: Path) -> None:
    for name in (b"a/b/c/d", b"a/b/e", b"a/f", b"g", b"h/i", b"\xff/\xfe"):
        write(tmp_path, name, name)
    with WorkTree(tmp_path) as files:
        for name in (b"a/b/c/d", b"g", b"h/i", b"a/b/e", b"\xff/\xfe", b"a/f", b"a/b/c/d"):
            found = files.lstat(name)
            assert found is not None
            assert found.st_size == len(name)
            descriptor = files.open(name)
            assert os.read(descriptor, 100) == name
            os.close(descriptor)


def test_what_is_not_there_is_none_and_hides_nothing_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "a/file", "x")
    write(tmp_path, "b/file", "x")
    with WorkTree(tmp_path) as files:
        assert files.lstat(b"a/missing") is None
        assert files.lstat(b"a/missing/x") is None
        assert files.lstat(b"a/missing/y") is None
        assert files.lstat(b"a/file/below") is None
        assert files.lstat(b"b/file") is not None
        assert files.lstat(b"a/file") is not None


@pytest.mark.parametrize(
    "path",
    [b"../secret", b"..", b"a/../../secret", b"a/..", b"", b"/etc/passwd", b"a//f", b"a/./f"],
)
def test_nothing_outside_has_a_path(path: bytes, tmp_path: Path) -> None:
    write(tmp_path, "secret", "secret")
    write(tmp_path, "top/a/f", "x")
    with WorkTree(tmp_path / "top") as files:
        assert files.lstat(path) is None
        with pytest.raises(FileNotFoundError):
            files.open(path)


def test_nothing_behind_a_symlink_is_seen(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", "secret", "secret").parent
    top = write(tmp_path / "top", "file", "x").parent
    (top / "link").symlink_to(outside)
    (top / "direct").symlink_to(outside / "secret")
    with WorkTree(top) as files:
        assert files.lstat(b"link/secret") is None
        with pytest.raises(FileNotFoundError):
            files.open(b"link/secret")
        with pytest.raises(FileNotFoundError):
            files.readlink(b"link/secret")
        with pytest.raises(BangerError):
            files.open(b"direct")
        link = files.lstat(b"link")
        assert link is not None
        assert stat.S_ISLNK(link.st_mode)
        assert files.readlink(b"link") == os.fsencode(outside)


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with WorkTree(tmp_path) as files, pytest.raises(BangerError) as raised:
        files.open(b"fifo")
    assert raised.value.code is Code.INVALID


def test_readable_files_are_told_from_others(tmp_path: Path) -> None:
    write(tmp_path, "file", "x")
    (tmp_path / "dangling").symlink_to("nowhere")
    with WorkTree(tmp_path) as files:
        assert files.may_read(b"file")
        assert files.may_read(b"dangling")
        assert not files.may_read(b"missing/file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_this_user_may_not_read_is_denied(tmp_path: Path) -> None:
    write(tmp_path, "closed/file", "x")
    (tmp_path / "closed").chmod(0)
    with WorkTree(tmp_path) as files, pytest.raises(BangerError) as raised:
        files.lstat(b"closed/file")
    (tmp_path / "closed").chmod(0o700)
    assert raised.value.code is Code.DENIED


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    write(tmp_path, "a/b/c", "x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with WorkTree(tmp_path) as files:
        files.lstat(b"a/b/c")
        files.lstat(b"a/b/missing/x")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
