"""What git lists, as records."""

import os
from pathlib import Path

import pytest

from services.workspaces.repository.discovery import discover
from services.workspaces.repository.listing import (
    GITLINK,
    RawChange,
    change_flags,
    index_changes,
    list_tracked,
    list_untracked,
    refresh,
    work_tree_changes,
)
from services.workspaces.repository.private_git import PrivateGit
from shared.errors import BangerError, Code
from tests.repositories import git, nasty, ordinary, write


def private(top: Path, tmp_path: Path) -> PrivateGit:
    return PrivateGit(discover(top), tmp_path / "private")


def test_entries_have_mode_object_and_stage(tmp_path: Path) -> None:
    top = nasty.conflict(tmp_path / "made")
    found = list_tracked(private(top, tmp_path))
    main = next(one for one in found if one.path == b"src/main.py")
    assert (main.tag, main.mode, main.stage) == (b"H", 0o100755, b"0")
    assert main.oid == git(top, "rev-parse", "HEAD:src/main.py").decode().strip()
    assert [one.stage for one in found if one.path == b"README"] == [b"1", b"2", b"3"]


def test_submodules_are_entries_that_are_not_looked_into(tmp_path: Path) -> None:
    own = private(nasty.submodule_dirty(tmp_path / "made"), tmp_path)
    assert [one.path for one in list_tracked(own) if one.mode == GITLINK] == [b"lib/one"]
    assert work_tree_changes(own) == {}
    assert list_untracked(own, all_needed=True) == []


def test_changes_have_both_modes(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    write(top, "README", "edited, of another size")
    (top / "src/main.py").unlink()
    git(top, "rm", "-q", "--cached", "src/other.py")
    own = private(top, tmp_path)
    assert work_tree_changes(own) == {
        b"README": RawChange(0o100644, 0o100644, b"M"),
        b"src/main.py": RawChange(0o100755, 0, b"D"),
    }
    assert index_changes(own, "HEAD") == {b"src/other.py": RawChange(0o100644, 0, b"D")}
    assert list_untracked(own, all_needed=True) == [b"src/other.py"]


def test_a_conflict_is_told_with_what_the_work_tree_has(tmp_path: Path) -> None:
    own = private(nasty.conflict(tmp_path / "made"), tmp_path)
    assert work_tree_changes(own)[b"README"].status == b"M"
    assert index_changes(own, "HEAD")[b"README"].old_mode == 0o100644
    assert index_changes(own, "HEAD")[b"doomed"].old_mode == 0


def test_flags_change_in_the_copy_only(tmp_path: Path) -> None:
    top = nasty.assume_unchanged(tmp_path / "made")
    own = private(top, tmp_path)
    change_flags(own, "--no-assume-unchanged", [b"README", b"src/other.py"])
    assert set(work_tree_changes(own)) == {b"README", b"src/other.py"}
    assert git(top, "ls-files", "-v", "README") == b"h README\n"


def test_a_file_that_was_touched_is_compared_once(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    os.utime(top / "README", (1_000_000, 1_000_000))
    own = private(top, tmp_path)
    assert set(work_tree_changes(own)) == {b"README"}
    refresh(own)
    assert work_tree_changes(own) == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_closed_directory_matters_when_all_is_needed(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    write(top, "closed/file", "x")
    (top / "closed").chmod(0)
    own = private(top, tmp_path)
    assert list_untracked(own, all_needed=False) == []
    with pytest.raises(BangerError) as raised:
        list_untracked(own, all_needed=True)
    (top / "closed").chmod(0o700)
    assert raised.value.code is Code.DENIED
