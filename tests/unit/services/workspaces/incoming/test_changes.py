"""What differs between trees."""

import io
from pathlib import Path

import pytest

from services.workspaces.incoming.changes import (
    LONGEST_PATH,
    ChangeList,
    changes_between,
    empty_tree,
    fields,
    parse_raw,
    readable,
    tree_of,
)
from services.workspaces.repository.discovery import discover
from services.workspaces.repository.private_git import PrivateGit
from shared.contract.messages.workspace import MOST_NAMED
from shared.errors import BangerError, Code
from tests.repositories import commit, git, ordinary, write
from tests.repositories.nasty import lfs


def private(top: Path) -> PrivateGit:
    return PrivateGit(discover(top), top.parent / "git")


def test_every_kind(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "top")
    write(top, "moved", "a line\n" * 20)
    commit(top)
    git(top, "mv", "moved", "mo\n\xff")
    write(top, "README", "edited\n")
    (top / "src/main.py").unlink()
    (top / "src/main.py").symlink_to("x")
    (top / "src/other.py").unlink()
    write(top, "added", "", 0o755)
    commit(top)
    old, new = (tree_of(private_git, name) for private_git in [private(top)]
                for name in ("HEAD~1", "HEAD"))  # fmt: skip
    found = list(changes_between(PrivateGit(discover(top), tmp_path / "other"), old, new))
    assert {change.path: change.kind for change in found} == {
        b"README": "modified",
        b"added": "added",
        "mo\n\xff".encode(): "renamed",
        b"src/main.py": "type",
        b"src/other.py": "deleted",
    }
    renamed = next(change for change in found if change.kind == "renamed")
    assert renamed.old_path == b"moved"
    assert next(change for change in found if change.path == b"added").mode == 0o100755


def test_contents_are_those_of_objects(tmp_path: Path) -> None:
    """Where the index says that a file is its blob, git would read the file."""
    top = lfs(tmp_path / "top")
    host = private(top)
    old = tree_of(host, "HEAD")
    write(top, "moved.bin", git(top, "cat-file", "blob", "HEAD:asset.bin"))
    index = {"GIT_INDEX_FILE": str(tmp_path / "index")}
    host.run("read-tree", "HEAD", environment=index)
    pointer = host.run("rev-parse", "HEAD:asset.bin").decode().strip()
    line = f"0 {'0' * 40}\tasset.bin\n100644 {pointer}\tmoved.bin\n".encode()
    host.run("update-index", "--index-info", stdin=line, environment=index)
    new = host.run("write-tree", environment=index).decode().strip()
    assert [change.kind for change in changes_between(host, old, new)] == ["renamed"]


def test_no_commit_is_the_empty_tree(tmp_path: Path) -> None:
    host = private(ordinary(tmp_path / "top"))
    assert tree_of(host, "") == empty_tree(host) == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    assert len(list(changes_between(host, empty_tree(host), tree_of(host, "HEAD")))) == 3


def test_a_reader_that_stops_leaves_no_git_behind(tmp_path: Path) -> None:
    host = private(ordinary(tmp_path / "top"))
    found = changes_between(host, empty_tree(host), tree_of(host, "HEAD"))
    next(found)
    found.close()  # type: ignore[attr-defined]


def test_a_path_without_end_is_refused() -> None:
    with pytest.raises(BangerError) as caught:
        list(fields(io.BytesIO(b"x" * (LONGEST_PATH * 4))))
    assert caught.value.code is Code.TOO_LARGE


def test_a_list_names_so_many_and_counts_the_rest() -> None:
    head = b":000000 100644 " + b"0" * 40 + b" " + b"1" * 40 + b" A"
    parts = [part for number in range(MOST_NAMED + 7) for part in (head, b"%d\x1b" % number)]
    changes = ChangeList()
    changes.add(parse_raw(iter(parts)), b"sub/")
    assert (len(changes.named), changes.more) == (MOST_NAMED, 7)
    assert changes.named[0].path == "sub/0\N{REPLACEMENT CHARACTER}"


def test_names_are_for_people() -> None:
    assert (
        readable(b"a\xff\x1b[31m\n") == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[31m "
    )
    assert len(readable(b"x" * 9000)) == 1024
