"""What comes out of a guest, taken by plain git: the guest's tree again, to the last bit."""

import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from tests.repositories import NASTY, commit, fingerprint, git, write
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
    if name in ("working_tree_encoding", "autocrlf", "eol_crlf", "ident"):  # git converts
        placed = {path: facts for path, facts in placed.items() if path in before}
        placed = {path: facts for path, facts in placed.items() if b"edited" not in facts[1]}
    assert {path: now.get(path) for path in placed} == placed


def test_names_and_counts(workspace: LocalWorkspace, tmp_path: Path) -> None:
    write(workspace.host, "src/main.py", "edited on the host\n")
    workspace.sync()
    write(workspace.guest, "README", "edited\n")
    commit(workspace.guest)
    exported = workspace.export(tmp_path / "patch")
    assert [change.path for change in exported.changes] == ["README", "src/main.py"]
    assert (exported.base, exported.commits) == (workspace.base, 1)
    assert any("not committed on the host" in notice for notice in exported.notices)
    exported = workspace.export(tmp_path / "patch", since_prepare=True)
    assert [change.path for change in exported.changes] == ["README"]
    assert exported.notices == []
    git(workspace.host, "apply", "--check", str(tmp_path / "patch"))


def test_another_base(workspace: LocalWorkspace, tmp_path: Path) -> None:
    write(workspace.guest, "new", "new\n")
    exported = workspace.export(tmp_path / "patch", base="HEAD~1")
    assert exported.base == git(workspace.host, "rev-parse", "HEAD~1").decode().strip()
    assert {change.path for change in exported.changes} == {"new", "src/other.py"}
    for unknown in ("nowhere", "--help", "f" * 40, "HEAD:README"):
        with pytest.raises(BangerError) as caught:
            workspace.export(tmp_path / "patch", base=unknown)
        assert caught.value.code is Code.NOT_FOUND


def test_commits_as_messages(workspace: LocalWorkspace, tmp_path: Path) -> None:
    guest = workspace.guest
    write(guest, "dos", "one\r\ntwo\r\n")
    write(guest, "binary", bytes(range(256)) * 9)
    commit(guest, "Add files\n\nand say why")
    git(guest, "mv", "README", "README.md")
    commit(guest, "Rename one")
    write(guest, "rest", "not committed\n")
    exported = workspace.export(tmp_path / "mbox", "commits")
    assert exported.commits == 2
    assert any("--keep-cr" in notice for notice in exported.notices)
    clone = fresh_clone(workspace, tmp_path / "clone")
    git(clone, "am", "-q", "--keep-cr", str(tmp_path / "mbox"))
    assert tree_of(clone) == tree_of(guest)
    form = "%an %ae %ai %B"
    theirs = git(guest, "log", f"--format={form}", f"{workspace.base}..HEAD")
    assert git(clone, "log", f"--format={form}", f"{workspace.base}..HEAD~1") == theirs
    assert b"not committed in the guest" in git(clone, "log", "-1")


def test_no_commits_are_an_empty_mailbox(workspace: LocalWorkspace, tmp_path: Path) -> None:
    exported = workspace.export(tmp_path / "mbox", "commits")
    assert (exported.commits, exported.bytes) == (0, 0)
    assert (tmp_path / "mbox").read_bytes() == b""


def test_commits_since_prepare(workspace: LocalWorkspace, tmp_path: Path) -> None:
    write(workspace.host, "README", "edited on the host\n")
    workspace.sync()
    write(workspace.guest, "new", "new\n")
    commit(workspace.guest, "with the host's edit")
    workspace.export(tmp_path / "mbox", "commits", since_prepare=True)
    assert b"README" not in (tmp_path / "mbox").read_bytes()


def test_files_as_an_archive(workspace: LocalWorkspace, tmp_path: Path) -> None:
    guest = workspace.guest
    write(guest, b"new\nline \xff", "new\n")
    write(guest, "run", "#!/bin/sh\n", 0o755)
    write(guest, "x" * 200 + "/large", bytes(3_000_000))
    (guest / "link").symlink_to("../out")
    (guest / "README").unlink()
    exported = workspace.export(tmp_path / "tar", "files")
    assert exported.bytes == (tmp_path / "tar").stat().st_size
    assert any("1 deleted file is" in notice for notice in exported.notices)
    with tarfile.open(tmp_path / "tar") as archive:
        members = {member.name: member for member in archive}
    assert members.keys() == {"new\nline \udcff", "run", "x" * 200 + "/large", "link"}
    assert members["run"].mode == 0o755
    assert members["link"].linkname == "../out"
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "-xf", tmp_path / "tar", "-C", unpacked], check=True)
    assert files_below(unpacked) == {
        path: facts for path, facts in files_below(guest).items() if not path.startswith(b"src/")
    }


def test_an_output_that_cannot_be_written(workspace: LocalWorkspace, tmp_path: Path) -> None:
    with pytest.raises(BangerError) as caught:
        workspace.export(tmp_path / "absent/patch")
    assert caught.value.code is Code.DENIED
    write(workspace.guest, "new", os.urandom(100_000))
    with pytest.raises(BangerError) as caught:
        workspace.export(Path("/dev/full"))
    assert caught.value.code is Code.NO_SPACE


def test_a_host_without_its_repository(workspace: LocalWorkspace, tmp_path: Path) -> None:
    write(workspace.guest, "README", "edited\n")
    moved = workspace.host.rename(tmp_path / "moved")
    exported = workspace.export(tmp_path / "patch")
    assert [change.path for change in exported.changes] == ["README"]
    assert "was not used" in exported.notices[0]
    git(moved, "apply", "--check", str(tmp_path / "patch"))
    with pytest.raises(BangerError) as caught:
        workspace.export(tmp_path / "patch", "commits")
    assert caught.value.code is Code.NOT_FOUND
