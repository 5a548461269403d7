"""What comes out of a guest, taken by plain git: the guest's tree again, to the last bit."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.repositories import NASTY, fingerprint, git, write
from tests.repositories.tracked import files_below
from tests.scripted.local_guest import LocalGuest
from tests.workspaces import LocalWorkspace, place

COPIED = ("core.autocrlf", "core.eol")


def tree_of(top: Path) -> str:
    """What git would commit of the work tree."""
    git(top, "add", "-A", "--sparse")
    return git(top, "write-tree").decode().strip()


def untouched(guest: Path) -> dict[bytes, object]:
    """All of a guest's repository. Objects get a new time when they are made once more, and .git
    when something of ours was in it."""
    return {
        path: None if b"/.git/objects/" in path or path.endswith((b"/.git", b"/banger")) else facts
        for path, facts in fingerprint(guest).items()
    }


def commit_all(guest: Path, message: str) -> None:
    git(guest, "add", "-A", "--sparse")
    git(guest, "commit", "-q", "-m", message)


def fresh_clone(workspace: LocalWorkspace, path: Path, name: str = "") -> Path:
    git(path.parent, "clone", "-q", "--no-local", "--no-checkout", str(workspace.host), str(path))
    for setting in COPIED:
        value = git(workspace.host, "config", setting, check=False).decode().strip()
        if value:
            git(path, "config", setting, value)
    if workspace.base:
        git(path, "checkout", "-q", "--detach", workspace.base)
    if name == "submodule_with_its_own_git_directory":  # git does not know where it is from
        git(path / "lib", "clone", "-q", str(workspace.host / "lib"), ".")
    elif name.startswith("submodule") and name != "submodule_not_initialised":
        allowed = ("-c", "protocol.file.allow=always")
        git(path, *allowed, "submodule", "-q", "update", "--init", "--recursive")
    return path


def edit_in_every_way(guest: Path) -> None:
    """An edit of each kind, some of it committed."""
    files = [path for path in sorted(guest.iterdir()) if path.is_file() and not path.is_symlink()]
    files = [path for path in files if not path.name.startswith(".git") and path.suffix != ".txt"]
    write(guest, "new file", "new\n")
    write(guest, b"new\nline \xff", "new\n")
    write(guest, "binary", bytes(range(256)) * 40)
    write(guest, "runs", "#!/bin/sh\n", 0o755)
    write(guest, "deep/er/file", "deep\n")
    commit_all(guest, "first of the guest")
    if files:
        write(guest, files[0].name, files[0].read_bytes()[:4096] + b"edited\n")
    if files[1:]:
        files[1].rename(files[1].with_name("moved " + files[1].name[:40]))
    if files[2:]:
        files[2].unlink()
    (guest / "deep/er/link").symlink_to("../../new file")
    (guest / "runs").chmod(0o644)
    commit_all(guest, "second of the guest")
    (guest / "new file").chmod(0o755)
    write(guest, "binary", bytes(range(256)) * 39 + b"x")
    write(guest, "last", "not committed\n")
    (guest / "deep/er/file").unlink()
    for inner in guest.glob("**/*/.git"):
        write(inner.parent, "of the guest", "in a submodule\n")
        write(inner.parent, "README", "edited in a submodule\n")
        commit_all(inner.parent, "in a submodule")


@pytest.mark.parametrize(("name", "make"), NASTY, ids=[name for name, _ in NASTY])
def test_a_patch_and_an_apply_make_the_guests_tree_again(
    name: str, make: Callable[[Path], Path], tmp_path: Path, local: LocalGuest
) -> None:
    workspace = place(make(tmp_path / "host"), local)
    edit_in_every_way(workspace.guest)
    host, guest = untouched(workspace.host), untouched(workspace.guest)
    patch = tmp_path / "patch"
    exported = workspace.export(patch)
    assert untouched(workspace.host) == host
    assert untouched(workspace.guest) == guest
    assert exported.bytes == patch.stat().st_size
    assert exported.commits >= 2
    clone = fresh_clone(workspace, tmp_path / "clone", name)
    git(clone, "apply", "--whitespace=nowarn", str(patch))
    if name.startswith("submodule"):
        assert files_below(clone) == files_below(workspace.guest)
    elif name != "eol_attributes_gone":  # git apply converts by the attributes of before
        assert tree_of(clone) == tree_of(workspace.guest)
    if name == "conflict":  # a merge of the host's comes first
        return
    before = files_below(workspace.host)
    workspace.apply()
    placed, now = files_below(workspace.guest), files_below(workspace.host)
    if name == "working_tree_encoding" or name.startswith("autocrlf"):
        placed = {path: facts for path, facts in placed.items() if path in before}
    assert {path: now.get(path) for path in placed} == placed
