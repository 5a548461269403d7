"""Which files go into a guest: those that git tracks, as they are, of every nasty repository."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from services.workspaces.repository.discovery import discover
from services.workspaces.repository.private_git import PrivateGit
from services.workspaces.repository.selection import Entry, Selection, select
from shared.errors import BangerError, Code
from tests.repositories import (
    HOSTILE,
    NASTY,
    fingerprint,
    git,
    hostile,
    nasty,
    ordinary,
    tracked_files,
    write,
)
from tests.repositories.hostile import REFUSED, SECRET, marker
from tests.repositories.placing import place
from tests.repositories.tracked import files_below

Make = Callable[[Path], Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory without a configuration of git's."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def chosen(top: Path, tmp_path: Path, *, untracked: bool = False) -> Selection:
    own = PrivateGit(discover(top), tmp_path / f"private-{untracked}")
    return select(own, include_untracked=untracked)


def paths(entries: list[Entry]) -> list[bytes]:
    return [entry.path for entry in entries]


@pytest.mark.parametrize(
    ("name", "make"),
    [*NASTY, ("submodule_replaced_by_file", nasty.submodule_replaced_by_file)],
)
def test_a_guest_has_the_tracked_files_bit_by_bit(name: str, make: Make, tmp_path: Path) -> None:
    top = make(tmp_path / "made")
    before = fingerprint(tmp_path / "made")
    selection = chosen(top, tmp_path)
    with_untracked = chosen(top, tmp_path, untracked=True)
    placed = files_below(place(selection, tmp_path / "guest"))
    placed_with_untracked = files_below(place(with_untracked, tmp_path / "another-guest"))
    assert fingerprint(tmp_path / "made") == before
    assert placed == tracked_files(top)
    assert placed_with_untracked == tracked_files(top, untracked=True)
    for one in (selection, with_untracked):
        assert_whole(top, one)


def assert_whole(top: Path, selection: Selection) -> None:
    """Each file of the commit is checked out, sent, absent or sparse, and in one list only."""
    listed = git(top, "ls-tree", "-r", "-z", "HEAD", check=False).split(b"\0")[:-1]
    committed = {line.partition(b"\t")[2] for line in listed if b" commit " not in line}
    sent = paths(selection.checkout) + paths(selection.overlay)
    assert len(set(sent)) == len(sent)
    assert committed - set(sent) == set(selection.absent) | (set(selection.sparse) & committed)
    assert not set(sent) & set(selection.absent)
    assert sorted(paths(selection.overlay)) == paths(selection.overlay)


@pytest.mark.parametrize(("name", "make"), HOSTILE)
def test_nothing_of_a_hostile_repository_runs(name: str, make: Make, tmp_path: Path) -> None:
    top = make(tmp_path / "made")
    marker(tmp_path / "made").unlink(missing_ok=True)
    before = fingerprint(tmp_path / "made")
    if name in REFUSED:
        with pytest.raises(BangerError, match=r"lacks objects|path that git forbids"):
            chosen(top, tmp_path, untracked=True)
    else:
        place(chosen(top, tmp_path, untracked=True), tmp_path / "guest")
        placed = files_below(tmp_path / "guest")
        assert SECRET.encode() not in b"".join(content for _, content in placed.values())
    assert fingerprint(tmp_path / "made") == before
    assert not marker(tmp_path / "made").exists()


def test_a_marker_is_what_these_programs_leave(tmp_path: Path) -> None:
    """The test above can fail: an ordinary git runs them."""
    top = hostile.configured_programs(tmp_path / "made")
    marker(tmp_path / "made").unlink(missing_ok=True)
    git(top, "status", check=False)
    assert marker(tmp_path / "made").exists()


def test_an_unmodified_repository_is_only_checked_out(tmp_path: Path) -> None:
    selection = chosen(nasty.packed(tmp_path / "made"), tmp_path)
    assert selection.overlay == []
    assert selection.absent == selection.sparse == []
    assert selection.branch == "main"
    assert len(selection.head) == 40


@pytest.mark.parametrize("name", [".git/refs/heads/main", ".git/HEAD"])
def test_a_commit_that_is_gone_is_no_empty_repository(name: str, tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    (top / name).write_text("1" * 40 + "\n")
    with pytest.raises(BangerError, match="missing commit"):
        chosen(top, tmp_path)


def test_only_what_differs_is_sent(tmp_path: Path) -> None:
    selection = chosen(nasty.staged_then_edited(tmp_path / "made"), tmp_path)
    assert paths(selection.overlay) == [b"README", b"new"]
    assert paths(selection.checkout) == [b"src/main.py", b"src/other.py"]


def test_files_that_were_only_touched_or_copied_are_not_sent(tmp_path: Path) -> None:
    assert chosen(nasty.copied(tmp_path / "made"), tmp_path).overlay == []


def test_a_racy_edit_is_seen(tmp_path: Path) -> None:
    assert paths(chosen(nasty.racy(tmp_path / "made"), tmp_path).overlay) == [b"racy"]


@pytest.mark.parametrize("make", [nasty.lfs, nasty.lfs_touched])
def test_files_of_a_filter_are_sent_and_known_to_be_unmodified(make: Make, tmp_path: Path) -> None:
    top = make(tmp_path / "made")
    selection = chosen(top, tmp_path)
    assert paths(selection.overlay) == [b"asset.bin", b"other.bin"]
    assert selection.unconverted == selection.overlay
    assert selection.unconverted[0].oid == git(top, "rev-parse", "HEAD:asset.bin").decode().strip()


def test_an_edited_file_of_a_filter_is_modified(tmp_path: Path) -> None:
    selection = chosen(nasty.lfs_edited(tmp_path / "made"), tmp_path)
    assert paths(selection.overlay) == [b"asset.bin", b"other.bin"]
    assert paths(selection.unconverted) == [b"other.bin"]


def test_pointers_that_are_in_the_work_tree_are_checked_out(tmp_path: Path) -> None:
    assert chosen(nasty.lfs_pointers(tmp_path / "made"), tmp_path).overlay == []


@pytest.mark.parametrize(
    ("make", "converted", "edited"),
    [
        (nasty.autocrlf, [b"text"], [b"edited"]),
        (nasty.eol_crlf, [b"run.bat"], []),
        (nasty.eol_attributes_gone, [b"run.bat"], []),
        (nasty.ident, [b"main.c"], []),
        (nasty.working_tree_encoding, [b"text.txt"], []),
    ],
)
def test_converted_files_are_sent_as_they_are(
    make: Make, converted: list[bytes], edited: list[bytes], tmp_path: Path
) -> None:
    selection = chosen(make(tmp_path / "made"), tmp_path)
    assert paths(selection.unconverted) == converted
    assert paths(selection.overlay) == sorted(converted + edited)


def test_a_commit_to_start_from_decides_what_is_sent(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    first = git(top, "rev-parse", "HEAD~1").decode().strip()
    own = PrivateGit(discover(top), tmp_path / "private")
    selection = select(own, include_untracked=False, base=first)
    assert selection.head == first
    assert paths(selection.overlay) == [b"src/other.py"]
    assert files_below(place(selection, tmp_path / "guest")) == tracked_files(top)


def test_ignored_files_never_come(tmp_path: Path) -> None:
    top = nasty.tracked_and_ignored(tmp_path / "made")
    without = chosen(top, tmp_path)
    assert without.untracked == 1
    assert b"build/kept.o" in paths(without.overlay)
    names = paths(chosen(top, tmp_path, untracked=True).overlay)
    assert b"notes" in names
    assert not {b".env", b"build/other.o"} & set(names)


def test_the_users_own_patterns_of_ignored_files_count(tmp_path: Path, home: Path) -> None:
    top = ordinary(tmp_path / "made")
    write(home, ".config/git/ignore", "*.secret\n")
    write(top, "key.secret", "x")
    write(top, ".git/info/exclude", "local\n")
    write(top, "local", "x")
    assert chosen(top, tmp_path, untracked=True).overlay == []


def test_what_cannot_go_in_is_said(tmp_path: Path) -> None:
    fifo = chosen(nasty.replaced_by_fifo(tmp_path / "fifo"), tmp_path)
    assert fifo.skipped == ["README is left out: it is no regular file"]
    assert fifo.absent == [b"README"]
    inner = nasty.untracked_repository(tmp_path / "inner")
    selection = chosen(inner, tmp_path, untracked=True)
    assert selection.skipped == ["vendor/other/ is left out: it is a repository of its own"]


def test_submodules_that_are_not_initialised_are_listed(tmp_path: Path) -> None:
    selection = chosen(nasty.submodule_not_initialised(tmp_path / "made"), tmp_path)
    assert selection.uninitialised == [b"lib/one"]
    assert selection.submodules == []
    assert selection.absent == []


def test_submodules_are_selected_as_they_are_checked_out(tmp_path: Path) -> None:
    top = nasty.submodule_moved_on(tmp_path / "made")
    (submodule,) = chosen(top, tmp_path).submodules
    assert submodule.path == b"lib/one"
    assert submodule.oid == git(top, "rev-parse", ":lib/one").decode().strip()
    assert submodule.selection.head == git(top / "lib/one", "rev-parse", "HEAD").decode().strip()
    assert submodule.git.run("rev-parse", "HEAD").decode().strip() == submodule.selection.head


@pytest.mark.parametrize(
    "make",
    [
        hostile.submodule_with_foreign_git_directory,
        hostile.submodule_with_foreign_common_directory,
    ],
)
def test_a_submodule_that_leads_out_is_left_out(make: Make, tmp_path: Path) -> None:
    selection = chosen(make(tmp_path / "made"), tmp_path)
    assert selection.submodules == []
    (said,) = selection.skipped
    assert "outside of the repository" in said


def test_a_submodule_behind_a_symlink_is_not_there(tmp_path: Path) -> None:
    selection = chosen(hostile.submodule_behind_a_symlink(tmp_path / "made"), tmp_path)
    assert selection.submodules == []
    assert selection.uninitialised == [b"dir/sub"]
    assert selection.overlay == [Entry(b"sub", 0o120000, "")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_that_this_user_may_not_read_are_refused(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    write(top, "README", "edited").chmod(0)
    with pytest.raises(BangerError) as raised:
        chosen(top, tmp_path)
    assert raised.value.code is Code.DENIED
    assert "README" in raised.value.message
