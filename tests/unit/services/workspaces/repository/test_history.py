"""The history that goes into a guest: as a shallow clone has it, in one pack."""

from collections.abc import Callable
from pathlib import Path

import pytest

from services.workspaces.repository.discovery import discover
from services.workspaces.repository.history import History, history, open_pack
from services.workspaces.repository.private_git import PrivateGit
from services.workspaces.repository.selection import Selection, head_of, select
from shared.errors import BangerError, Code
from tests.repositories import (
    HOSTILE,
    commit,
    empty,
    fingerprint,
    git,
    nasty,
    ordinary,
    write,
)
from tests.repositories.hostile import marker

Make = Callable[[Path], Path]
KINDS_OF_HISTORY = [
    *(ordinary, nasty.detached, nasty.linked_worktree, nasty.sparse_index, nasty.shallow),
    *(nasty.alternates, nasty.packed, nasty.long_history, nasty.odd_branch, nasty.sha256),
    *(nasty.conflict, nasty.submodule_clean),
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def read(top: Path, tmp_path: Path, *, full: bool = False) -> tuple[PrivateGit, History]:
    own = PrivateGit(discover(top), tmp_path / f"private-{full}")
    return own, history(own, select(own, include_untracked=False), full=full)


def unpack(own: PrivateGit, made: History, target: Path, exclude: tuple[str, ...] = ()) -> None:
    """Into a repository of the guest."""
    with open_pack(own, made, exclude=exclude) as packing:
        assert packing.stdout is not None
        pack = packing.stdout.read()
    assert packing.returncode == 0
    (target / ".git/shallow").write_text("".join(f"{oid}\n" for oid in made.shallow))
    git(target, "index-pack", "--stdin", "--strict", stdin=pack)
    for name, oid in made.refs.items():
        git(target, "update-ref", name, oid)
    git(target, "update-ref", "--no-deref", "HEAD", made.tips[0])


def guest(own: PrivateGit, path: Path) -> Path:
    return empty(path, f"--object-format={own.repository.object_format}")


def log(top: Path, *arguments: str) -> list[bytes]:
    return sorted(git(top, "rev-list", *arguments).splitlines())


@pytest.mark.parametrize("make", KINDS_OF_HISTORY)
def test_a_guest_can_use_the_history(make: Make, tmp_path: Path) -> None:
    top = make(tmp_path / "made")
    before = fingerprint(tmp_path / "made")
    for full in (False, True):
        own, made = read(top, tmp_path, full=full)
        target = guest(own, tmp_path / f"guest-{full}")
        unpack(own, made, target)
        assert git(target, "fsck", "--full", "--strict", "--no-dangling") == b""
        assert len(log(target, "--all")) == made.commits
    assert fingerprint(tmp_path / "made") == before
    assert git(target, "rev-parse", "HEAD^{tree}") == git(top, "rev-parse", "HEAD^{tree}")


@pytest.mark.parametrize("make", [nasty.long_history, nasty.shallow, ordinary])
def test_it_is_what_a_shallow_clone_has(make: Make, tmp_path: Path) -> None:
    top = make(tmp_path / "made")
    own, made = read(top, tmp_path)
    unpack(own, made, guest(own, tmp_path / "guest"))
    options = ("-q", "--depth", "10", "--single-branch", f"file://{top}")
    git(tmp_path, "clone", *options, "clone")
    assert log(tmp_path / "guest", "HEAD") == log(tmp_path / "clone", "HEAD")
    boundary = tmp_path / "clone/.git/shallow"
    expected = sorted(boundary.read_text().split()) if boundary.exists() else []
    assert made.shallow == expected


def test_the_full_history_has_all_branches_and_tags(tmp_path: Path) -> None:
    top = nasty.packed(tmp_path / "made")
    git(top, "tag", "of-a-blob", "HEAD:README")
    write(top, "stashed", "x")
    git(top, "stash", "-q", "-u")
    _, made = read(top, tmp_path, full=True)
    listed = git(top, "show-ref", "--heads", "--tags").decode().splitlines()
    assert made.refs == {line.split()[1]: line.split()[0] for line in listed}
    assert made.shallow == []
    assert made.commits == len(log(top, "--branches", "--tags"))


def test_tags_come_with_the_commits_that_they_name(tmp_path: Path) -> None:
    top = nasty.packed(tmp_path / "made")
    _, made = read(top, tmp_path)
    assert "refs/tags/v1" in made.refs
    assert made.refs["refs/tags/v1"] == git(top, "rev-parse", "v1").decode().strip()
    assert "refs/tags/count-9" in made.refs
    assert "refs/tags/count-0" not in made.refs
    assert not any(name.startswith("refs/heads/") for name in made.refs)


def test_a_later_pack_has_only_what_is_new(tmp_path: Path) -> None:
    top = nasty.long_history(tmp_path / "made")
    own, made = read(top, tmp_path)
    target = guest(own, tmp_path / "guest")
    unpack(own, made, target)
    write(top, "new", "new\n")
    new = commit(top)
    later = PrivateGit(discover(top), tmp_path / "later")
    made_later = history(later, select(later, include_untracked=False), full=False)
    with open_pack(later, made_later, exclude=[*made.tips, "1" * 40]) as packing:
        assert packing.stdout is not None
        pack = packing.stdout.read()
    assert int.from_bytes(pack[8:12], "big") == 3  # a commit, a tree, a blob
    git(target, "index-pack", "--stdin", stdin=pack)
    assert git(target, "cat-file", "-t", new) == b"commit\n"


def test_a_commit_to_start_from_is_the_tip(tmp_path: Path) -> None:
    top = nasty.long_history(tmp_path / "made")
    own = PrivateGit(discover(top), tmp_path / "private")
    start = git(top, "rev-parse", "count-4").decode().strip()
    made = history(own, select(own, include_untracked=False, base=start), full=False)
    assert made.tips[0] == start
    assert made.commits == 7


def test_a_partial_clone_is_refused(tmp_path: Path) -> None:
    origin = nasty.long_history(tmp_path / "origin")
    git(origin, "config", "uploadpack.allowFilter", "true")
    url = f"file://{origin}"
    git(tmp_path, "clone", "-q", "--filter=blob:none", url, "clone")
    with pytest.raises(BangerError, match="partial clone") as raised:
        read(tmp_path / "clone", tmp_path)
    assert raised.value.code is Code.INVALID


def test_a_partial_clone_that_has_all_it_needs_is_taken(tmp_path: Path) -> None:
    origin = ordinary(tmp_path / "origin")
    git(origin, "config", "uploadpack.allowFilter", "true")
    url = f"file://{origin}"
    git(tmp_path, "clone", "-q", "--filter=blob:limit=1g", url, "clone")
    own, made = read(tmp_path / "clone", tmp_path)
    unpack(own, made, guest(own, tmp_path / "guest"))
    assert made.commits == 2


@pytest.mark.parametrize(("name", "make"), HOSTILE)
def test_nothing_of_a_hostile_repository_runs(name: str, make: Make, tmp_path: Path) -> None:
    top = make(tmp_path / "made")
    marker(tmp_path / "made").unlink(missing_ok=True)
    own = PrivateGit(discover(top), tmp_path / "private")
    head = Selection(own.repository, head=head_of(own))
    if name == "promisor_remote":
        with pytest.raises(BangerError, match="partial clone: 1 objects"):
            history(own, head, full=False)
        with open_pack(own, History([head.head], [], {}, 2)) as packing:
            packing.communicate()
        assert packing.returncode != 0
    else:
        unpack(own, history(own, head, full=False), guest(own, tmp_path / "guest"))
    assert not marker(tmp_path / "made").exists()
