"""A repository that is in a guest is brought up to date there: this machine is the guest."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.workspaces.jobs.prepare import run
from shared.contract.messages.workspace import Prepared
from shared.errors import BangerError, Code
from tests.repositories.fingerprint import fingerprint
from tests.repositories.making import commit, empty, git, ordinary, write
from tests.repositories.nasty import NASTY
from tests.repositories.tracked import files_below, tracked_files
from tests.scripted.local_guest import LocalGuest, local_guest


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalGuest]:
    with local_guest(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return ordinary(tmp_path / "host")


def prepare(guest: LocalGuest, top: Path, **choices: Any) -> Prepared:
    return run(guest.request(top, **choices), guest.context())


def assert_in_step(top: Path, there: Path, *, untracked: bool = False) -> None:
    """The guest has the files of the host, and takes them for what was placed."""
    assert files_below(there) == tracked_files(top, untracked=untracked)
    assert git(there, "for-each-ref", "refs/banger/incoming") == b""
    left = [each.name for each in (there / ".git/banger").iterdir()]
    assert set(left) <= {"attributes", "unconverted", "index"}
    git(there, "fsck")


def test_nothing_changed_and_nothing_is_sent(guest: LocalGuest, top: Path) -> None:
    prepare(guest, top)
    done = prepare(guest, top)
    assert (done.files, done.removed, done.bytes) == (0, 0, 0)
    assert_in_step(top, guest.path())


def test_an_edit_is_sent_alone(guest: LocalGuest, top: Path) -> None:
    prepare(guest, top)
    write(top, "README", "edited\n")
    untouched = (guest.path() / "src/main.py").stat().st_ino
    done = prepare(guest, top)
    assert (done.files, done.removed) == (1, 0)
    assert_in_step(top, guest.path())
    assert (guest.path() / "src/main.py").stat().st_ino == untouched
    assert git(guest.path(), "status", "--porcelain") == b" M README\n"
    assert git(guest.path(), "diff", "refs/banger/prepared") == b""


def test_an_edit_taken_back_is_the_commits_again(guest: LocalGuest, top: Path) -> None:
    write(top, "README", "edited\n")
    prepare(guest, top)
    write(top, "README", "read me\n")
    assert prepare(guest, top).files == 1
    assert_in_step(top, guest.path())
    assert git(guest.path(), "status", "--porcelain") == b""


def test_a_new_commit_moves_the_branch(guest: LocalGuest, top: Path) -> None:
    prepare(guest, top)
    write(top, "new/file", "x")
    (top / "src/other.py").unlink()
    new = commit(top)
    done = prepare(guest, top)
    assert (done.files, done.removed, done.workspace.commit) == (1, 1, new)
    there = guest.path()
    assert_in_step(top, there)
    assert git(there, "status", "--porcelain", "--branch") == b"## main\n"
    assert git(there, "rev-parse", "HEAD", "refs/banger/base").decode().split() == [new, new]
    assert done.notices == []


def test_a_directory_that_is_empty_now_is_removed(guest: LocalGuest, top: Path) -> None:
    write(top, "a/b/c/file", "x")
    commit(top)
    prepare(guest, top)
    git(top, "rm", "-q", "-r", "a")
    prepare(guest, top)
    assert not (guest.path() / "a").exists()


def test_a_directory_with_files_of_the_guest_stays(guest: LocalGuest, top: Path) -> None:
    prepare(guest, top)
    write(guest.path(), "src/build/out", "built")
    git(top, "rm", "-q", "-r", "src")
    prepare(guest, top)
    assert [each.name for each in (guest.path() / "src").iterdir()] == ["build"]


def test_a_change_of_both_is_a_conflict_and_changes_nothing(guest: LocalGuest, top: Path) -> None:
    prepare(guest, top)
    write(top, "README", "host\n")
    write(top, "src/main.py", "host\n", 0o755)
    write(guest.path(), "README", "guest\n")
    write(guest.path(), "src/other.py", "guest too\n")
    before = files_below(guest.path())
    with pytest.raises(BangerError) as caught:
        prepare(guest, top)
    assert caught.value.code is Code.CONFLICT
    assert caught.value.details["paths"] == ["README"]
    assert files_below(guest.path()) == before
    prepare(guest, top, force=True)
    assert (guest.path() / "README").read_text() == "host\n"
    assert (guest.path() / "src/main.py").read_text() == "host\n"
    assert (guest.path() / "src/other.py").read_text() == "guest too\n"


def test_the_same_change_of_both_is_no_conflict(guest: LocalGuest, top: Path) -> None:
    """As after an apply."""
    (top / "link").symlink_to("README")
    commit(top)
    prepare(guest, top)
    for side in (top, guest.path()):
        write(side, "README", "edited by the guest, and applied\n")
        (side / "src/main.py").unlink()
        (side / "link").unlink()
        (side / "link").symlink_to("src")
    prepare(guest, top)
    assert_in_step(top, guest.path())


def test_the_same_content_with_another_mode_is_a_conflict(guest: LocalGuest, top: Path) -> None:
    prepare(guest, top)
    for side in (top, guest.path()):
        write(side, "README", "edited\n")
    (guest.path() / "README").chmod(0o755)
    with pytest.raises(BangerError, match="README"):
        prepare(guest, top)


@pytest.mark.parametrize("by", ["deleted", "made executable", "made a link"])
def test_any_change_of_the_guest_is_one(guest: LocalGuest, top: Path, by: str) -> None:
    prepare(guest, top)
    file = guest.path() / "README"
    if by == "made executable":
        file.chmod(0o755)
    else:
        file.unlink()
    if by == "made a link":
        file.symlink_to("src")
    write(top, "README", "host\n")
    with pytest.raises(BangerError) as caught:
        prepare(guest, top)
    assert caught.value.details["paths"] == ["README"]
    prepare(guest, top, force=True)
    assert_in_step(top, guest.path())


def test_a_file_of_the_guest_is_not_overwritten_by_a_new_one(guest: LocalGuest, top: Path) -> None:
    prepare(guest, top)
    write(guest.path(), "new", "guest\n")
    write(top, "new", "host\n")
    git(top, "add", "new")
    with pytest.raises(BangerError) as caught:
        prepare(guest, top)
    assert caught.value.details["paths"] == ["new"]
    prepare(guest, top, force=True)
    assert (guest.path() / "new").read_text() == "host\n"


def test_a_file_that_the_guest_only_touched_is_no_conflict(guest: LocalGuest, top: Path) -> None:
    prepare(guest, top)
    write(guest.path(), "README", "read me\n")
    write(top, "README", "host\n")
    prepare(guest, top)
    assert_in_step(top, guest.path())


def test_commits_of_the_guest_keep_its_branch(guest: LocalGuest, top: Path) -> None:
    prepare(guest, top)
    write(guest.path(), "guest", "x")
    theirs = commit(guest.path())
    write(top, "README", "host\n")
    ours = commit(top)
    done = prepare(guest, top)
    assert "refs/banger/host" in done.notices[0]
    there = guest.path()
    assert git(there, "rev-parse", "HEAD", "refs/banger/host", "refs/banger/base") == (
        f"{theirs}\n{ours}\n{ours}\n".encode()
    )
    assert git(there, "status", "--porcelain") == b" M README\n"
    write(top, "README", "host again\n")
    prepare(guest, top)
    assert (there / "README").read_text() == "host again\n"


def test_a_branch_of_the_guest_without_commits_stays_and_moves(
    guest: LocalGuest, top: Path
) -> None:
    prepare(guest, top)
    git(guest.path(), "checkout", "-q", "-b", "work")
    new = commit(top)
    prepare(guest, top)
    assert git(guest.path(), "symbolic-ref", "HEAD") == b"refs/heads/work\n"
    assert git(guest.path(), "rev-parse", "HEAD").decode().strip() == new


def test_the_host_switches_its_branch(guest: LocalGuest, top: Path) -> None:
    prepare(guest, top)
    git(top, "checkout", "-q", "-b", "feature")
    write(top, "feature", "x")
    commit(top)
    done = prepare(guest, top)
    assert done.workspace.branch == "feature"
    assert git(guest.path(), "symbolic-ref", "HEAD") == b"refs/heads/feature\n"
    assert git(guest.path(), "status", "--porcelain") == b""
    git(top, "checkout", "-q", "--detach", "main")
    prepare(guest, top)
    assert_in_step(top, guest.path())
    assert git(guest.path(), "symbolic-ref", "-q", "HEAD", check=False) == b""
    git(top, "checkout", "-q", "main")
    prepare(guest, top)
    assert git(guest.path(), "symbolic-ref", "HEAD") == b"refs/heads/main\n"


def test_history_that_was_written_anew(guest: LocalGuest, top: Path) -> None:
    prepare(guest, top)
    write(top, "README", "amended\n")
    git(top, "commit", "-q", "-a", "--amend", "-m", "amended")
    git(top, "reflog", "expire", "--expire=now", "--all")
    git(top, "gc", "-q", "--prune=now")
    prepare(guest, top)
    assert_in_step(top, guest.path())
    assert git(guest.path(), "status", "--porcelain") == b""


def test_the_first_commit(guest: LocalGuest, tmp_path: Path) -> None:
    top = empty(tmp_path / "new")
    prepare(guest, top)
    write(top, "one", "1")
    git(top, "add", "one")
    prepare(guest, top)
    assert_in_step(top, guest.path())
    commit(top)
    prepare(guest, top)
    assert_in_step(top, guest.path())
    assert git(guest.path(), "status", "--porcelain") == b""


def test_untracked_files_come_and_go(guest: LocalGuest, top: Path) -> None:
    write(top, "untracked", "x")
    prepare(guest, top, include_untracked=True)
    assert (guest.path() / "untracked").exists()
    prepare(guest, top, include_untracked=False)
    assert not (guest.path() / "untracked").exists()


def test_sync_keeps_the_choices(guest: LocalGuest, top: Path) -> None:
    write(top, "untracked", "x")
    prepare(guest, top, include_untracked=True)
    write(top, "another", "x")
    run(guest.request(top, sync=True), guest.context())
    assert_in_step(top, guest.path(), untracked=True)


def test_sync_of_nothing_is_not_found(guest: LocalGuest, top: Path) -> None:
    with pytest.raises(BangerError) as caught:
        run(guest.request(top, sync=True), guest.context())
    assert caught.value.code is Code.NOT_FOUND


def test_what_is_gone_is_placed_again(guest: LocalGuest, top: Path) -> None:
    prepare(guest, top)
    guest.path().rename(guest.path("elsewhere"))
    prepare(guest, top)
    assert_in_step(top, guest.path())


def test_a_repository_that_is_not_ours_is_a_conflict(guest: LocalGuest, top: Path) -> None:
    prepare(guest, top)
    guest.path().rename(guest.path("elsewhere"))
    ordinary(guest.path())
    with pytest.raises(BangerError) as caught:
        prepare(guest, top)
    assert caught.value.code is Code.CONFLICT


def test_a_guest_that_was_set_back_gets_everything(guest: LocalGuest, top: Path) -> None:
    prepare(guest, top)
    there = guest.path()
    old = git(there, "rev-parse", "refs/banger/prepared").decode().strip()
    write(top, "README", "edited\n")
    prepare(guest, top)
    write(there, "README", "read me\n")
    git(there, "update-ref", "refs/banger/prepared", old)
    prepare(guest, top)
    assert_in_step(top, there)


@pytest.mark.parametrize("make", [each for _, each in NASTY], ids=[name for name, _ in NASTY])
def test_nasty_repositories_go_in_and_on(
    make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "g").mkdir()
    top = make(tmp_path / "host")
    with local_guest(tmp_path / "g", monkeypatch) as guest:
        before = fingerprint(top)
        prepare(guest, top)
        assert fingerprint(top) == before
        assert_in_step(top, guest.path())
        assert prepare(guest, top).files == 0
        git(top, "add", "-A", check=False)
        git(top, "commit", "-q", "--allow-empty", "-m", "all", check=False)
        prepare(guest, top)
        assert_in_step(top, guest.path())
        names = sorted(tracked_files(top))
        for name in names[:1]:
            (top / os.fsdecode(name)).unlink()
        for name in names[1:2]:
            (top / os.fsdecode(name)).unlink()
            write(top, name, b"another")
        for name in names[2:3]:
            (top / os.fsdecode(name)).unlink()
            (top / os.fsdecode(name)).symlink_to("link")
        write(top, "one-more/file", "x")
        git(top, "add", "--sparse", "--", "one-more")
        prepare(guest, top)
        assert_in_step(top, guest.path())
