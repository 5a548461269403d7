"""What a user may choose of a prepare, and what is said of the rest."""

import os
from pathlib import Path
from tempfile import mkdtemp

import pytest

from services.workspaces.jobs import choice
from services.workspaces.jobs.choice import (
    ChosenRepository,
    read_choice,
    require_guest_path,
    with_submodules,
)
from shared.contract.messages.workspace import WorkspaceChoice
from shared.errors import BangerError, Code
from tests.repositories import empty, git, nasty, ordinary


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def read(
    top: Path, *, branch: str = "", start: str = "", untracked: bool = False, again: bool = False
) -> ChosenRepository:
    chosen = WorkspaceChoice(path=str(top), branch=branch, start=start, include_untracked=untracked)
    return read_choice(chosen, Path(mkdtemp(dir=top.parent)), again=again)


def refusal(top: Path, *, branch: str = "", start: str = "") -> BangerError:
    with pytest.raises(BangerError) as raised:
        read(top, branch=branch, start=start)
    assert raised.value.message.isprintable()
    return raised.value


@pytest.mark.parametrize("path", ["/root/repo", "/srv/a b/ü", "/x", "/root/..x/.y"])
def test_absolute_paths_are_places_in_a_guest(path: str) -> None:
    require_guest_path(path)


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "repo", "~/repo", "/root/", "//root", "/root//repo", "/root/./repo"),
        *("/root/../repo", "/..", "../repo", "/root/re\npo", "/root/\x00", "/" + "x" * 256),
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(BangerError) as raised:
        require_guest_path(path)
    assert raised.value.code is Code.INVALID
    assert raised.value.message.isprintable()


def test_the_hosts_branch_is_the_guests_unless_another_is_made(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    assert read(top).branch == "main"
    assert read(top, branch="feature/new").branch == "feature/new"
    assert read(nasty.detached(tmp_path / "detached")).branch == ""


@pytest.mark.parametrize(
    "branch", ["-x", "a..b", "a b", "/a", "a/", "a.lock", "@{-1}", "HEAD", "é\n"]
)
def test_a_name_that_no_branch_can_have_is_refused(branch: str, tmp_path: Path) -> None:
    assert refusal(ordinary(tmp_path / "made"), branch=branch).code is Code.INVALID


@pytest.mark.parametrize("branch", ["main", "main/below", "a"])
def test_a_branch_that_exists_or_is_in_the_way_is_a_conflict(branch: str, tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    git(top, "branch", "a/b")
    assert refusal(top, branch=branch).code is Code.CONFLICT
    assert read(top, branch=branch, again=True).branch == branch


def test_a_branch_begins_where_it_is_told(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    found = read(top, branch="new", start="main~1")
    assert found.selection.head == git(top, "rev-parse", "main~1").decode().strip()


def test_a_start_needs_a_branch_and_a_commit(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    assert refusal(top, start="main").code is Code.USAGE
    assert refusal(top, branch="new", start="nowhere").code is Code.NOT_FOUND
    other = empty(tmp_path / "empty")
    assert refusal(other, branch="new", start="HEAD").code is Code.NOT_FOUND


def test_a_branch_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    git(top, "checkout", "-q", "-b", b"b\xff")
    error = refusal(top)
    assert error.code is Code.INVALID
    assert "--branch" in error.hint
    assert read(top, branch="other").branch == "other"


def test_what_stays_behind_is_said(tmp_path: Path) -> None:
    top = nasty.untracked_files(tmp_path / "untracked")
    assert read(top).notices == [
        "4 untracked files are left out; --include-untracked takes them in"
    ]
    assert read(top, untracked=True).notices == []
    clone = nasty.submodule_not_initialised(tmp_path / "submodule")
    git(clone, "remote", "set-url", "origin", "https://user:hunter2@example.org/x.git")
    assert read(clone).notices == [
        "submodule lib/one is left out: it is not initialised",
        "the URL of origin goes in without what may be a password or a token",
    ]


def test_notices_of_submodules_say_where(tmp_path: Path) -> None:
    top = nasty.submodule_nested(tmp_path / "made")
    (top / "middle/inner/README").unlink()
    os.mkfifo(top / "middle/inner/README")
    (said,) = read(top).notices
    assert said == "in middle/inner/: README is left out: it is no regular file"
    assert [below for below, _ in with_submodules(read(top, branch="b").selection)] == [
        b"",
        b"middle/",
        b"middle/inner/",
    ]


def test_many_sentences_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "MOST_SENTENCES", 2)
    top = ordinary(tmp_path / "made")
    for number in range(4):
        ordinary(top / f"nested-{number:02}")
    notices = read(top, untracked=True).notices
    assert len(notices) == 3
    assert notices[-1] == "and 2 more of these"
