"""Commits by name, and the walk from them to a boundary."""

from pathlib import Path

import pytest

from services.workspaces.repository.commits import existing, resolve_commit, walk
from services.workspaces.repository.discovery import discover
from services.workspaces.repository.private_git import PrivateGit
from shared.errors import BangerError, Code
from tests.repositories import git, nasty, ordinary


def private(top: Path, tmp_path: Path) -> PrivateGit:
    return PrivateGit(discover(top), tmp_path / "private")


def oid(top: Path, revision: str) -> str:
    return git(top, "rev-parse", revision).decode().strip()


def test_a_commit_is_found_by_all_that_names_it(tmp_path: Path) -> None:
    top = nasty.packed(tmp_path / "made")
    own = private(top, tmp_path)
    for revision in ("HEAD", "main~3", "v1", "left", "count-4", oid(top, "HEAD")[:12], ":/count 2"):
        expected = git(top, "rev-list", "-1", revision, "--").decode().strip()
        assert resolve_commit(own, revision) == expected


@pytest.mark.parametrize(
    "revision",
    ["", "nowhere", "-x", "--all", "--not", "HEAD:README", "HEAD^{tree}", "a..b", "\x1b"],
)
def test_what_names_no_commit_is_not_found(revision: str, tmp_path: Path) -> None:
    with pytest.raises(BangerError) as raised:
        resolve_commit(private(ordinary(tmp_path / "made"), tmp_path), revision)
    assert raised.value.code is Code.NOT_FOUND
    assert raised.value.message.isprintable()


def test_objects_that_are_there_are_told_from_others(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    own = private(top, tmp_path)
    assert existing(own, [oid(top, "HEAD"), "1" * 40, oid(top, "HEAD~1")]) == [
        oid(top, "HEAD"),
        oid(top, "HEAD~1"),
    ]
    assert existing(own, []) == []


def test_a_walk_goes_by_the_shortest_way_and_tells_the_boundary(tmp_path: Path) -> None:
    top = nasty.long_history(tmp_path / "made")
    own = private(top, tmp_path)
    found = dict(walk(own, [oid(top, "HEAD")], 3, frozenset()))
    assert found == {
        oid(top, "HEAD"): False,
        oid(top, "left"): False,
        oid(top, "right"): False,
        oid(top, "count-9"): False,
        oid(top, "count-8"): True,
    }


def test_a_walk_of_all_has_no_boundary(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    own = private(top, tmp_path)
    assert set(walk(own, [oid(top, "HEAD")], 100, frozenset())) == {
        (oid(top, "HEAD"), False),
        (oid(top, "HEAD~1"), False),
    }


def test_a_commit_without_its_parents_on_the_host_is_a_boundary(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    own = private(top, tmp_path)
    head = oid(top, "HEAD")
    assert list(walk(own, [head], 100, frozenset({head}))) == [(head, True)]


def test_a_missing_commit_ends_the_walk(tmp_path: Path) -> None:
    own = private(ordinary(tmp_path / "made"), tmp_path)
    with pytest.raises(BangerError, match="lacks objects"):
        list(walk(own, ["1" * 40], 10, frozenset()))


def test_a_walk_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    top = nasty.long_history(tmp_path / "made")
    walking = walk(private(top, tmp_path), [oid(top, "HEAD")], 10, frozenset())
    next(walking)
    walking.close()  # type: ignore[attr-defined]
