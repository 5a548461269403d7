"""What git says of files, those that it was told not to look at included."""

import os
from pathlib import Path

import pytest

from services.workspaces.repository.discovery import discover
from services.workspaces.repository.private_git import PrivateGit
from services.workspaces.repository.survey import Survey, survey
from services.workspaces.repository.work_tree import WorkTree
from shared.errors import BangerError
from tests.repositories import git, nasty, ordinary


def surveyed(top: Path, tmp_path: Path, commit: str = "HEAD") -> Survey:
    own = PrivateGit(discover(top), tmp_path / "private")
    with WorkTree(top) as files:
        return survey(own, files, commit, all_untracked=False)


def test_an_unmodified_repository_has_only_tracked_files(tmp_path: Path) -> None:
    found = surveyed(ordinary(tmp_path / "made"), tmp_path)
    assert [one.path for one in found.tracked] == [b"README", b"src/main.py", b"src/other.py"]
    assert found.modified == {}
    assert found.staged == {}
    assert found.convertible == set()
    assert found.untracked == []
    assert found.in_commit(b"README")
    assert found.as_in_commit(b"README")


def test_what_is_staged_is_told_from_what_is_committed(tmp_path: Path) -> None:
    found = surveyed(nasty.staged_edit(tmp_path / "made"), tmp_path)
    assert found.in_commit(b"README")
    assert not found.as_in_commit(b"README")
    assert not found.in_commit(b"new")
    assert not found.as_in_commit(b"new")


def test_without_a_commit_nothing_is_committed(tmp_path: Path) -> None:
    found = surveyed(nasty.no_commits_but_files(tmp_path / "made"), tmp_path, commit="")
    assert not found.in_commit(b"staged")
    assert not found.as_in_commit(b"staged")
    assert found.untracked == [b"untracked"]


def test_edits_that_are_hidden_from_git_are_found(tmp_path: Path) -> None:
    found = surveyed(nasty.assume_unchanged(tmp_path / "made"), tmp_path)
    assert {path: one.new_mode for path, one in found.modified.items()} == {
        b"README": 0o100644,
        b"src/other.py": 0,
    }


def test_skipped_files_that_are_there_are_no_longer_skipped(tmp_path: Path) -> None:
    found = surveyed(nasty.skip_worktree_by_hand(tmp_path / "one"), tmp_path)
    assert {one.tag for one in found.tracked} == {b"H"}
    assert set(found.modified) == {b"README"}


def test_files_of_a_sparse_checkout_stay_skipped(tmp_path: Path) -> None:
    top = nasty.sparse_cone(tmp_path / "made")
    found = surveyed(top, tmp_path)
    skipped = {one.path for one in found.tracked if one.tag == b"S"}
    assert skipped == {b"b/three", b"b/deep/four", b"c/five"}
    listed = git(top, "ls-files", "-t").decode().splitlines()
    assert len(skipped) == sum(line.startswith("S ") for line in listed)


@pytest.mark.parametrize("name", [".gitignore", ".gitattributes", "src/.gitignore"])
def test_a_fifo_that_git_would_wait_for_is_refused(name: str, tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    os.mkfifo(top / name)
    with pytest.raises(BangerError, match="git would wait for it"):
        surveyed(top, tmp_path)
