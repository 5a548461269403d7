"""Staged files get their names, all or none."""

import os
from pathlib import Path

import pytest

from services.workspaces.applying.placing import StagedFiles, all_or_nothing, parents
from services.workspaces.incoming.changes import TreeChange
from shared.contract.messages.workspace import ChangeKind
from shared.errors import BangerError, Code
from tests.repositories import fingerprint, write
from tests.repositories.tracked import files_below


def change(path: bytes, *, old: int = 0o100644, new: int = 0o100644) -> TreeChange:
    kind: ChangeKind = "modified" if old and new else "added" if new else "deleted"
    return TreeChange(kind, path, path, old, new, "", "")


def added(path: bytes) -> TreeChange:
    return change(path, old=0)


def removed(path: bytes) -> TreeChange:
    return change(path, new=0)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    write(tmp_path / "top", "a", "a")
    write(tmp_path / "top", "d/e/b", "b")
    write(tmp_path / "top", "d/c", "c")
    return tmp_path / "top"


def staged(top: Path, *changes: TreeChange) -> StagedFiles:
    staging = top.parent / "staging"
    (staging / "old").mkdir(parents=True)
    for each in changes:
        if each.mode:
            write(staging / "new", each.path, b"new " + each.path)
    return StagedFiles(top, staging, list(changes))


def test_files_come_change_and_go(top: Path) -> None:
    files = staged(top, change(b"a"), removed(b"d/e/b"), added(b"n/e/w"))
    assert files.blocked() == []
    with all_or_nothing([files]):
        files.place()
    assert files_below(top) == {
        b"a": (0o100644, b"new a"),
        b"d/c": (0o100644, b"c"),
        b"n/e/w": (0o100644, b"new n/e/w"),
    }
    assert not (top / "d/e").exists()


def test_a_failure_takes_all_back(top: Path) -> None:
    (top / "link").symlink_to("nowhere")
    write(top, "z", "not known to the merge")
    before, times = files_below(top), fingerprint(top / "d/c")
    files = staged(
        top, change(b"a"), change(b"link"), removed(b"d/e/b"), added(b"n/e/w"), added(b"z")
    )
    assert files.blocked() == [b"z"]
    with pytest.raises(BangerError) as caught, all_or_nothing([files]):
        files.place()
    assert caught.value.details["paths"] == ["z"]
    assert files_below(top) == before
    assert (top / "link").readlink() == Path("nowhere")
    assert not (top / "n").exists()
    assert fingerprint(top / "d/c") == times


def test_what_the_system_refuses_is_said(top: Path) -> None:
    files = staged(top, removed(b"d/e/b"), change(b"a"))
    (files.staging / "new/a").unlink()
    before = files_below(top)
    with pytest.raises(BangerError) as caught, all_or_nothing([files]):
        files.place()
    assert caught.value.code is Code.DENIED
    assert files_below(top) == before


def test_what_goes_with_it_counts(top: Path) -> None:
    files = staged(top, change(b"a"), added(b"new"))
    before = files_below(top)

    def place_and_fail() -> None:
        with all_or_nothing([files]):
            files.place()
            raise RuntimeError("the branch could not move")

    with pytest.raises(RuntimeError, match="the branch"):
        place_and_fail()
    assert files_below(top) == before


@pytest.mark.parametrize("path", [b"../out", b"a/../../out", b".git/hooks/x", b"d/.GIT/x", b"/x"])
def test_no_path_leads_out(top: Path, path: bytes) -> None:
    files = StagedFiles(top, top.parent / "staging", [removed(path)])
    with pytest.raises(BangerError) as caught, all_or_nothing([files]):
        files.place()
    assert caught.value.code is Code.GUEST_FAILED


def test_a_symlink_on_the_way_is_not_followed(top: Path) -> None:
    outside = top.parent / "outside"
    outside.mkdir()
    (top / "s").symlink_to(outside)
    files = staged(top, added(b"s/file"))
    assert files.blocked() == [b"s/file"]
    with pytest.raises(BangerError), all_or_nothing([files]):
        files.place()
    assert list(outside.iterdir()) == []


def test_a_directory_makes_way_only_if_it_is_emptied(top: Path) -> None:
    files = staged(top, removed(b"d/e/b"), added(b"d/e"))
    assert files.blocked() == []
    write(top, "d/e/mine", "")
    assert files.blocked() == [b"d/e"]
    (top / "d/e/mine").unlink()
    with all_or_nothing([files]):
        files.place()
    assert (top / "d/e").read_bytes() == b"new d/e"


def test_new_directories_are_as_open_as_the_top_one(top: Path) -> None:
    top.chmod(0o775)
    before = os.umask(0o077)
    try:
        files = staged(top, added(b"n/e/w"))
        with all_or_nothing([files]):
            files.place()
    finally:
        os.umask(before)
    assert (top / "n/e").stat().st_mode & 0o777 == 0o775


def test_parents() -> None:
    assert parents(b"a/b/c") == [b"a/b", b"a"]
    assert parents(b"a") == []
