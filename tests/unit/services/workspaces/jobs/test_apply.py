"""What a guest has changed, in the host's repository."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from tests.repositories import HOSTILE, commit, empty, fingerprint, git, ordinary, write
from tests.repositories.hostile import REFUSED, SECRET, marker
from tests.repositories.nasty import conflict
from tests.repositories.tracked import files_below
from tests.scripted.local_guest import LocalGuest
from tests.workspaces import LocalWorkspace, place


def repository_of(host: Path) -> dict[bytes, object]:
    """Index, refs, reflogs, configuration and objects. Objects that are made once more get a new
    time, and .git one when something of ours was in it."""
    return {
        path: None if b"/objects/" in path or path.endswith(b"/.git") else facts
        for path, facts in fingerprint(host / ".git").items()
    }


def refused(workspace: LocalWorkspace, code: Code = Code.CONFLICT, **how: object) -> BangerError:
    """The error of an apply, which has to leave everything as it was."""
    before, files = repository_of(workspace.host), fingerprint(workspace.host)
    with pytest.raises(BangerError) as caught:
        workspace.apply(**how)  # type: ignore[arg-type]
    assert caught.value.code is code
    assert repository_of(workspace.host) == before
    own = os.fsencode(workspace.host / ".git")
    after = fingerprint(workspace.host)
    assert {path for path in after if after[path] != files.get(path)} <= {
        path for path in after if path == own or path.startswith(own + b"/objects")
    }
    assert after.keys() == files.keys()
    return caught.value


def log(top: Path, form: str = "%s") -> list[str]:
    return git(top, "log", "--reverse", f"--format={form}").decode().splitlines()


def test_changes_of_both_sides_come_together(workspace: LocalWorkspace) -> None:
    host, guest = workspace.host, workspace.guest
    write(host, "README", "read me\nedited on the host\n")
    write(host, "mine", "untracked\n")
    write(guest, "README", "edited in the guest\nread me\n")
    write(guest, "new/deep/file", "new\n", 0o755)
    (guest / "src/other.py").unlink()
    (guest / "link").symlink_to("README")
    before = repository_of(host)
    applied = workspace.apply()
    assert (host / "README").read_text() == "edited in the guest\nread me\nedited on the host\n"
    assert (host / "new/deep/file").stat().st_mode & 0o777 == 0o755
    assert not (host / "src/other.py").exists()
    assert (host / "link").readlink() == Path("README")
    assert (host / "mine").read_text() == "untracked\n"
    assert {change.path: change.kind for change in applied.changes} == {
        "README": "modified",
        "link": "added",
        "new/deep/file": "added",
        "src/other.py": "deleted",
    }
    assert repository_of(host) == before
    assert workspace.apply().changes == []


def test_a_conflict_names_the_files_and_touches_nothing(workspace: LocalWorkspace) -> None:
    write(workspace.host, "README", "host\n")
    write(workspace.guest, "README", "guest\n")
    write(workspace.guest, "new", "new\n")
    assert refused(workspace).details["paths"] == ["README"]


def test_an_untracked_file_is_not_overwritten(workspace: LocalWorkspace) -> None:
    host, guest = workspace.host, workspace.guest
    write(host, ".git/info/exclude", "ignored\n")
    for name in ("untracked", "ignored", "same"):
        write(host, name, "same\n")
        write(guest, name, "same\n" if name == "same" else "of the guest\n")
    error = refused(workspace)
    assert error.details["paths"] == ["ignored", "untracked"]
    (host / "untracked").unlink()
    (host / "ignored").unlink()
    workspace.apply()
    assert (host / "untracked").read_text() == "of the guest\n"


@pytest.mark.parametrize("mark", ["assume-unchanged", "skip-worktree"])
def test_edits_that_git_does_not_look_at_are_not_lost(workspace: LocalWorkspace, mark: str) -> None:
    git(workspace.host, "update-index", f"--{mark}", "README")
    write(workspace.host, "README", "kept out of git's sight\n")
    write(workspace.guest, "README", "guest\n")
    assert refused(workspace).details["paths"] == ["README"]


def test_symlinks_are_not_followed(workspace: LocalWorkspace, tmp_path: Path) -> None:
    host, guest = workspace.host, workspace.guest
    outside = tmp_path / "outside"
    outside.mkdir()
    (host / "out").symlink_to(outside)
    write(guest, "out/file", "guest\n")
    assert refused(workspace).details["paths"] == ["out/file"]
    assert list(outside.iterdir()) == []
    (host / "src").rename(outside / "src")
    (host / "src").symlink_to(outside / "src")
    (guest / "out/file").unlink()
    write(guest, "src/main.py", "guest\n")
    refused(workspace)
    assert (outside / "src/main.py").read_text() == "print(1)\n"


def test_files_become_directories_and_directories_files(workspace: LocalWorkspace) -> None:
    host, guest = workspace.host, workspace.guest
    (guest / "README").unlink()
    write(guest, "README/inside", "in\n")
    for name in ("main.py", "other.py"):
        (guest / "src" / name).unlink()
    (guest / "src").rmdir()
    write(guest, "src", "a file\n")
    workspace.apply()
    assert (host / "README/inside").read_text() == "in\n"
    assert (host / "src").read_text() == "a file\n"


def test_a_directory_with_files_of_the_users_stays(workspace: LocalWorkspace) -> None:
    host, guest = workspace.host, workspace.guest
    write(host, "src/mine", "untracked\n")
    git(guest, "rm", "-q", "-r", "src")
    write(guest, "src", "a file\n")
    assert refused(workspace).details["paths"] == ["src"]
    (guest / "src").unlink()
    workspace.apply()
    assert [path.name for path in (host / "src").iterdir()] == ["mine"]


def test_a_rename_on_the_host_takes_the_guests_edit(workspace: LocalWorkspace) -> None:
    host, guest = workspace.host, workspace.guest
    lines = "".join(f"line {number}\n" for number in range(40))
    write(host, "src/long.py", lines)
    commit(host)
    workspace.sync()
    git(host, "mv", "src/long.py", "src/renamed.py")
    write(guest, "src/long.py", lines.replace("line 7\n", "line seven\n"))
    workspace.apply()
    assert "line seven" in (host / "src/renamed.py").read_text()
    assert not (host / "src/long.py").exists()


def test_commits_are_made_again_on_the_hosts_branch(workspace: LocalWorkspace) -> None:
    host, guest = workspace.host, workspace.guest
    git(host, "config", "user.name", "Hilda Host")
    git(host, "config", "user.email", "hilda@host")
    write(host, "later", "a commit of the host\n")
    commit(host, "of the host")
    write(host, "staged", "staged\n")
    git(host, "add", "staged")
    write(host, "src/main.py", "print(1)\n# not committed on the host\n")
    write(guest, "README", "read me\nfirst\n")
    commit(guest, "[guest] first\n\nwith a body\n\n")
    git(guest, "config", "i18n.commitEncoding", "ISO-8859-1")
    write(guest, "new", "second\n")
    git(guest, "add", "-A")
    git(guest, "commit", "-q", "-F", "-", stdin="zwei: grün".encode("latin-1"))
    write(guest, "README", "read me\nfirst\nnot committed in the guest\n")
    applied = workspace.apply(commits=True)
    assert applied.commits == 2
    assert log(host) == ["first", "second", "of the host", "[guest] first", "zwei: grün"]
    assert (
        log(host, "%an <%ae> %ai")[-1] == "Ann Author <ann@example.org> 2026-01-02 03:04:05 +0100"
    )
    assert log(host, "%cn <%ce>")[-1] == "Hilda Host <hilda@host>"
    raw = git(host, "cat-file", "commit", "HEAD")
    assert raw.endswith(b"\nencoding ISO-8859-1\n\nzwei: gr\xfcn\n")
    assert git(host, "symbolic-ref", "HEAD") == b"refs/heads/main\n"
    assert git(host, "status", "--porcelain").decode().splitlines() == [
        " M README",
        " M src/main.py",
        "A  staged",
    ]
    assert (host / "README").read_text() == "read me\nfirst\nnot committed in the guest\n"
    git(host, "fsck", "--strict")
    assert workspace.apply(commits=True).commits == 0


def test_commits_of_a_repository_that_had_none(tmp_path: Path, local: LocalGuest) -> None:
    workspace = place(empty(tmp_path / "host"), local)
    write(workspace.guest, "file", "one\n")
    commit(workspace.guest, "first")
    assert workspace.apply(commits=True).commits == 1
    assert log(workspace.host) == ["first"]
    assert git(workspace.host, "status", "--porcelain") == b""


def test_a_merge_of_the_guests_is_one_commit(workspace: LocalWorkspace) -> None:
    host, guest = workspace.host, workspace.guest
    git(guest, "checkout", "-q", "-b", "side")
    write(guest, "side", "side\n")
    commit(guest, "side")
    git(guest, "checkout", "-q", "main")
    write(guest, "main", "main\n")
    commit(guest, "main")
    git(guest, "merge", "-q", "-m", "merged", "side")
    assert workspace.apply(commits=True).commits == 2
    assert log(host)[-2:] == ["main", "merged"]
    assert (host / "side").exists()


def test_commits_that_do_not_fit_touch_nothing(workspace: LocalWorkspace) -> None:
    host, guest = workspace.host, workspace.guest
    write(guest, "README", "guest\n")
    commit(guest)
    write(host, "README", "staged and then taken back\n")
    git(host, "add", "README")
    write(host, "README", "read me\n")
    assert refused(workspace, commits=True).details["paths"] == ["README"]
    git(host, "reset", "-q", "--hard")
    write(host, "README", "committed\n")
    commit(host)
    assert refused(workspace, commits=True).details["paths"] == ["README"]


def test_commits_wait_for_a_merge_of_the_hosts(workspace: LocalWorkspace) -> None:
    write(workspace.guest, "new", "new\n")
    commit(workspace.guest)
    write(workspace.host, ".git/MERGE_HEAD", workspace.base + "\n")
    assert "in the middle of a merge" in refused(workspace, commits=True).message


def test_commits_of_a_branch_that_was_rewritten(workspace: LocalWorkspace) -> None:
    host, guest = workspace.host, workspace.guest
    git(guest, "commit", "-q", "--amend", "-m", "amended")
    write(guest, "new", "new\n")
    commit(guest)
    assert "does not hold the commit" in refused(workspace, commits=True).message
    workspace.apply()
    assert (host / "new").exists()


def test_another_git_at_work(workspace: LocalWorkspace) -> None:
    write(workspace.guest, "new", "new\n")
    commit(workspace.guest)
    write(workspace.host, ".git/index.lock", "")
    refused(workspace, Code.BUSY, commits=True)
    assert not (workspace.host / "new").exists()


def test_a_worktree_beside_ones_own(workspace: LocalWorkspace, tmp_path: Path) -> None:
    host, guest = workspace.host, workspace.guest
    write(host, "README", "being edited\n")
    write(guest, "README", "guest\n")
    write(guest, "run", "#!/bin/sh\n", 0o755)
    files = fingerprint(host / "README", host / "src")
    directory = tmp_path / "result"
    applied = workspace.apply(worktree=str(directory))
    assert applied.host_path == str(directory)
    assert files_below(directory) == files_below(guest)
    assert fingerprint(host / "README", host / "src") == files
    assert git(directory, "rev-parse", "HEAD").decode().strip() == workspace.base
    assert git(directory, "status", "--porcelain").decode().splitlines() == [" M README", "?? run"]
    assert str(directory).encode() in git(host, "worktree", "list")
    git(host, "worktree", "remove", "--force", str(directory))
    assert not directory.exists()


def test_a_worktree_of_the_guests_commits(workspace: LocalWorkspace, tmp_path: Path) -> None:
    guest = workspace.guest
    write(guest, "new", "new\n")
    head = commit(guest, "of the guest")
    write(guest, "more", "not committed\n")
    directory = tmp_path / "result"
    directory.mkdir()
    assert workspace.apply(worktree=str(directory), commits=True).commits == 1
    assert git(directory, "rev-parse", "HEAD").decode().strip() == head
    assert git(directory, "status", "--porcelain") == b"?? more\n"
    git(workspace.host, "fsck", "--strict")


@pytest.mark.parametrize("place_of", ["host/README", "host/src", "host/.git/inside", "link"])
def test_a_worktree_has_to_have_a_place(
    workspace: LocalWorkspace, tmp_path: Path, place_of: str
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "vm")
    write(workspace.guest, "new", "new\n")
    code = Code.INVALID if ".git" in place_of else Code.CONFLICT
    refused(workspace, code, worktree=str(tmp_path / place_of))


def test_a_worktree_that_git_refuses_leaves_nothing(
    workspace: LocalWorkspace, tmp_path: Path
) -> None:
    write(workspace.host, ".git/worktrees", "a file\n")
    refused(workspace, Code.DENIED, worktree=str(tmp_path / "result"))
    assert not (tmp_path / "result").exists()


@pytest.mark.parametrize(("name", "make"), HOSTILE, ids=[name for name, _ in HOSTILE])
def test_nothing_of_a_repository_runs(
    name: str, make: Callable[[Path], Path], tmp_path: Path, local: LocalGuest
) -> None:
    host = make(tmp_path / "host")
    if name in REFUSED:
        pytest.skip("refused by prepare")
    workspace = place(host, local)
    write(workspace.guest, "README", "edited in the guest\nonce more\n")
    write(workspace.guest, ".gitattributes", "* filter=evil diff=evil merge=evil ident\n")
    write(workspace.guest, "new", "new\n")
    commit_in_guest(workspace.guest)
    left = marker(tmp_path / "host")
    left.unlink(missing_ok=True)
    for how in ({"commits": True}, {}, {"worktree": str(tmp_path / "result")}):
        try:
            workspace.apply(**how)
        except BangerError as error:
            assert error.code in (Code.CONFLICT, Code.GUEST_FAILED)  # noqa: PT017
    assert not left.exists()
    assert SECRET.encode() not in b"".join(
        content for _, content in files_below(workspace.guest).values()
    )


def commit_in_guest(guest: Path) -> None:
    git(guest, "add", "-A")
    git(guest, "commit", "-q", "-m", "of the guest")


def test_hooks_that_the_hosts_git_runs_are_named(workspace: LocalWorkspace) -> None:
    git(workspace.host, "config", "core.hooksPath", ".githooks")
    write(workspace.guest, ".githooks/pre-commit", "#!/bin/sh\n", 0o755)
    assert any(".githooks/pre-commit" in notice for notice in workspace.apply().notices)


def test_a_repository_that_is_gone(workspace: LocalWorkspace) -> None:
    workspace.host.rename(workspace.host.with_name("moved"))
    with pytest.raises(BangerError) as caught:
        workspace.apply()
    assert caught.value.code is Code.NOT_FOUND


def test_a_merge_that_is_not_ended_comes_first(tmp_path: Path, local: LocalGuest) -> None:
    workspace = place(conflict(tmp_path / "host"), local)
    assert "in the middle of a merge" in refused(workspace).message


def test_the_gitlinks_stay(workspace: LocalWorkspace) -> None:
    ordinary(workspace.guest / "vendor/new")
    applied = workspace.apply()
    assert applied.changes == []
    assert any("vendor/new" in notice for notice in applied.notices)
    assert not (workspace.host / "vendor").exists()
