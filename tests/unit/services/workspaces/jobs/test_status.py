"""What is told of both sides."""

import os
from pathlib import Path

import pytest

from shared.contract.messages.workspace import MOST_NAMED, WorkspaceStatus
from shared.errors import BangerError, Code
from tests.repositories import commit, fingerprint, git, ordinary, write
from tests.repositories.nasty import submodule_clean
from tests.scripted.local_guest import LocalGuest
from tests.workspaces import LocalWorkspace, place


def guest_side(status: WorkspaceStatus) -> dict[str, str]:
    return {change.path: change.kind for change in status.guest}


def host_side(status: WorkspaceStatus) -> dict[str, str]:
    return {change.path: change.kind for change in status.host}


def test_nothing_has_changed(workspace: LocalWorkspace) -> None:
    status = workspace.status()
    assert (status.guest, status.host, status.guest_commits) == ([], [], 0)
    assert (status.guest_branch, status.host_commit) == ("main", workspace.base)
    assert status.host_problem == ""


def test_both_sides(workspace: LocalWorkspace) -> None:
    host, guest = workspace.host, workspace.guest
    write(guest, "README", "one\n")
    commit(guest)
    git(guest, "mv", "src/main.py", "src/renamed.py")
    write(guest, "new\x1b\n", "new")
    (guest / "src/other.py").unlink()
    (guest / "src/other.py").symlink_to("renamed.py")
    write(host, "src/main.py", "print(3)\n")
    (host / "README").unlink()
    head = commit(host)
    before = {path: facts for path, facts in fingerprint(host).items() if b"/.git/" not in path}
    status = workspace.status()
    assert guest_side(status) == {
        "README": "modified",
        "new\N{REPLACEMENT CHARACTER} ": "added",
        "src/renamed.py": "renamed",
        "src/other.py": "type",
    }
    renamed = next(change for change in status.guest if change.kind == "renamed")
    assert renamed.old_path == "src/main.py"
    assert host_side(status) == {"README": "deleted", "src/main.py": "modified"}
    assert (status.guest_commits, status.host_commit) == (1, head)
    now = {path: facts for path, facts in fingerprint(host).items() if b"/.git/" not in path}
    assert {path for path in now if now[path] != before[path]} <= {os.fsencode(host / ".git")}


def test_a_sync_makes_both_the_same(workspace: LocalWorkspace) -> None:
    write(workspace.host, "README", "edited\n")
    assert host_side(workspace.status()) == {"README": "modified"}
    workspace.sync()
    status = workspace.status()
    assert (status.guest, status.host) == ([], [])


def test_submodules_have_their_paths(tmp_path: Path, local: LocalGuest) -> None:
    workspace = place(submodule_clean(tmp_path / "host"), local)
    write(workspace.guest / "lib/one", "README", "edited\n")
    write(workspace.host / "lib/one", "src/main.py", "edited\n")
    status = workspace.status()
    assert guest_side(status) == {"lib/one/README": "modified"}
    assert host_side(status) == {"lib/one/src/main.py": "modified"}


def test_a_submodule_that_is_gone_from_the_guest(tmp_path: Path, local: LocalGuest) -> None:
    workspace = place(submodule_clean(tmp_path / "host"), local)
    (workspace.guest / "lib/one/.git").rename(tmp_path / "away")
    write(workspace.guest, "new", "new")
    assert guest_side(workspace.status()) == {"new": "added"}


def test_names_have_a_limit(workspace: LocalWorkspace) -> None:
    for number in range(MOST_NAMED + 5):
        write(workspace.guest, f"new/{number}", "")
    status = workspace.status()
    assert len(status.guest) == MOST_NAMED
    assert status.guest_more == 5


def test_a_host_without_its_repository(workspace: LocalWorkspace, tmp_path: Path) -> None:
    write(workspace.guest, "README", "edited\n")
    workspace.host.rename(tmp_path / "moved")
    status = workspace.status()
    assert guest_side(status) == {"README": "modified"}
    assert "there is no" in status.host_problem
    ordinary(workspace.host)
    git(workspace.host, "commit", "-q", "--amend", "-m", "another")
    git(workspace.host, "reflog", "expire", "--expire=now", "--all")
    git(workspace.host, "gc", "-q", "--prune=now")
    status = workspace.status()
    assert guest_side(status) == {"README": "modified"}
    assert "does not have the commit" in status.host_problem


def test_a_guest_that_lost_what_was_placed(workspace: LocalWorkspace) -> None:
    git(workspace.guest, "update-ref", "-d", "refs/banger/prepared")
    write(workspace.guest, "new", "new")
    assert guest_side(workspace.status()) == {"new": "added"}


@pytest.mark.parametrize("what", ["path", "repository"])
def test_a_workspace_that_is_gone(workspace: LocalWorkspace, tmp_path: Path, what: str) -> None:
    (workspace.guest / (".git" if what == "repository" else "")).rename(tmp_path / "away")
    with pytest.raises(BangerError) as caught:
        workspace.status()
    assert caught.value.code is Code.NOT_FOUND


def test_a_guest_that_names_what_is_not_there(workspace: LocalWorkspace) -> None:
    fake = "#!/bin/sh\nprintf 'tree %s\\n\\n' " + "1" * 40 + '\ncat "$0.pack"\n'
    tools = workspace.local.directory / "bin"
    program = write(tools, "git", fake, 0o755)
    pack = git(workspace.host, "pack-objects", "--stdout", stdin=b"")
    program.with_name("git.pack").write_bytes(pack)
    workspace.local.machine.environment["PATH"] = f"{tools}:/usr/bin:/bin"
    with pytest.raises(BangerError) as caught:
        workspace.status()
    assert caught.value.code is Code.GUEST_FAILED
