"""Which directories are submodules that belong to the repository around them."""

from pathlib import Path

import pytest

from services.workspaces.repository.discovery import Repository, discover
from services.workspaces.repository.submodules import is_initialised, repository_of
from services.workspaces.repository.work_tree import WorkTree
from shared.errors import BangerError
from tests.repositories import git, hostile, nasty, ordinary


def test_a_directory_with_a_repository_is_initialised(tmp_path: Path) -> None:
    top = nasty.submodule_clean(tmp_path / "made")
    with WorkTree(top) as files:
        assert is_initialised(files, b"lib/one")
        assert not is_initialised(files, b"lib")
        assert not is_initialised(files, b"README")
        assert not is_initialised(files, b"missing")


def test_nothing_behind_a_symlink_is_initialised(tmp_path: Path) -> None:
    with WorkTree(hostile.submodule_behind_a_symlink(tmp_path / "made")) as files:
        assert not is_initialised(files, b"sub")
        assert not is_initialised(files, b"dir/sub")


def test_the_git_directory_is_where_git_puts_it(tmp_path: Path) -> None:
    top = nasty.submodule_clean(tmp_path / "absorbed")
    found = repository_of(discover(top), b"lib/one")
    assert isinstance(found, Repository)
    assert found.git_directory == top / ".git/modules/lib/one"
    top = nasty.submodule_with_its_own_git_directory(tmp_path / "embedded")
    found = repository_of(discover(top), b"lib")
    assert isinstance(found, Repository)
    assert found.git_directory == top / "lib/.git"


def test_a_linked_worktree_has_submodules_of_its_own(tmp_path: Path) -> None:
    top = nasty.submodule_clean(tmp_path / "made")
    linked = tmp_path / "linked"
    git(top, "worktree", "add", "-q", str(linked))
    git(linked, "submodule", "-q", "update", "--init")
    found = repository_of(discover(linked), b"lib/one")
    assert isinstance(found, Repository)
    assert found.git_directory.is_relative_to(top / ".git/worktrees/linked")


def test_a_repository_that_is_elsewhere_is_not_taken(tmp_path: Path) -> None:
    top = hostile.submodule_with_foreign_git_directory(tmp_path / "one")
    assert "outside of the repository" in str(repository_of(discover(top), b"sub"))
    top = hostile.submodule_with_foreign_common_directory(tmp_path / "two")
    assert "outside of the repository" in str(repository_of(discover(top), b"sub"))


def test_a_broken_submodule_is_refused(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    inner = ordinary(top / "sub")
    (inner / ".git/config").write_text("[core\n")
    with pytest.raises(BangerError, match="bad config"):
        repository_of(discover(top), b"sub")
