"""The host's files as a tree, whatever the index says."""

import os
from pathlib import Path

import pytest

from services.workspaces.applying.host_tree import HostTree, host_tree
from services.workspaces.repository.discovery import discover
from services.workspaces.repository.private_git import PrivateGit
from shared.errors import BangerError, Code
from tests.repositories import git, ordinary, write
from tests.repositories.nasty import conflict, lfs_touched


def tree_of(top: Path, placed: str = "HEAD") -> HostTree:
    private = PrivateGit(discover(top), top.parent / f"git-{os.urandom(4).hex()}")
    tree = git(top, "rev-parse", f"{placed}^{{tree}}").decode().strip()
    return host_tree(private, tree, tree)


def names(found: HostTree) -> dict[str, str]:
    listing = found.git.run("ls-tree", "-r", "-z", found.tree).decode().split("\0")[:-1]
    return {line.split("\t")[1]: line.split()[2] for line in listing}


def test_edits_staged_or_not_and_deletions(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "top")
    write(top, "README", "edited\n")
    write(top, "staged", "staged\n")
    git(top, "add", "staged")
    write(top, "untracked", "x")
    (top / "src/main.py").unlink()
    found = names(tree_of(top))
    assert found.keys() == {"README", "staged", "src/other.py"}
    assert found["README"] == git(top, "hash-object", "README").decode().strip()


def test_what_was_placed_counts_though_it_is_not_tracked(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "top")
    git(top, "rm", "-q", "--cached", "README")
    assert "README" in names(tree_of(top))
    (top / "README").unlink()
    os.mkfifo(top / "README")
    assert "README" not in names(tree_of(top))


@pytest.mark.parametrize("mark", ["assume-unchanged", "skip-worktree"])
def test_marks_of_the_index_hide_nothing(tmp_path: Path, mark: str) -> None:
    top = ordinary(tmp_path / "top")
    git(top, "update-index", f"--{mark}", "README", "src/main.py")
    write(top, "README", "edited\n")
    (top / "src/main.py").unlink()
    found = names(tree_of(top))
    assert found["README"] == git(top, "hash-object", "README").decode().strip()
    assert ("src/main.py" in found) == (mark == "skip-worktree")  # as in a sparse checkout


def test_a_later_change_is_seen(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "top")
    found = tree_of(top)
    assert found.changed_since({b"README", b"src/main.py"}) == []
    write(top, "README", "edited\n")
    assert found.changed_since({b"README", b"src/main.py"}) == [b"README"]
    assert found.changed_since({b"src/main.py"}) == []


def test_a_touched_file_of_git_lfs_is_its_pointer(tmp_path: Path) -> None:
    top = lfs_touched(tmp_path / "top")
    found = tree_of(top)
    assert found.tree == git(top, "rev-parse", "HEAD^{tree}").decode().strip()
    assert found.changed_since({b"asset.bin"}) == []
    write(top, "asset.bin", "edited")
    assert found.changed_since({b"asset.bin"}) == [b"asset.bin"]


def test_a_merge_comes_first(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as caught:
        tree_of(conflict(tmp_path / "top"))
    assert caught.value.code is Code.CONFLICT
