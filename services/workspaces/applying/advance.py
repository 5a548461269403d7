"""The host's branch moves to new commits, and its index with it.

Objects are copied first; they are unreachable until the branch moves. The index takes what the
commits changed, and keeps what else is staged. Only git-update-ref(1) runs in the repository
itself, with its hooks off.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE

from services.workspaces.incoming.changes import changes_between, empty_tree, ended, stop, tree_of
from services.workspaces.repository.discovery import Repository
from services.workspaces.repository.git_process import GitProcess, clean_environment
from services.workspaces.repository.private_git import PrivateGit
from services.workspaces.repository.regular_file import open_regular
from shared.errors import BangerError, Code
from shared.plain_text import printable

IN_PROGRESS = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
}
"""What a file of the git directory says is not ended."""
HARMLESS = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0")
"""Options for a git in the repository itself: none of its programs runs."""


def current_head(git: GitProcess) -> str:
    """The commit that is checked out on the host; empty before the first one."""
    return git.attempt("rev-parse", "--quiet", "--verify", "HEAD^{commit}").stdout.decode().strip()


def refuse_in_progress(repository: Repository) -> None:
    """Raise ``conflict`` in the middle of a merge, a rebase and the like."""
    for name, what in IN_PROGRESS.items():
        if os.path.lexists(repository.git_directory / name):
            raise BangerError(
                Code.CONFLICT,
                f"the repository {printable(str(repository.top))} is in the middle of {what}",
                hint="end it first: git status",
            )


def copy_objects(git: PrivateGit, new: str, known: str) -> None:
    """Put ``new`` and all that it needs into the repository, which has the commit ``known``.

    The pack is written by the private git, so nothing of the repository's configuration is read.
    """
    wanted = f"{new}\n" + (f"^{known}\n" if known else "")
    objects = str(git.repository.common_directory / "objects")
    packing = git.start("pack-objects", "--revs", "--stdout", "-q", stdin=PIPE)
    try:
        assert packing.stdin
        assert packing.stdout
        packing.stdin.write(wanted.encode())
        packing.stdin.close()
        packing.stdin = None
        git.run(
            "index-pack", "--stdin",
            stdin=packing.stdout.fileno(),
            environment={"GIT_OBJECT_DIRECTORY": objects},
        )  # fmt: skip
        ended(packing, "pack-objects", git.cwd)
    finally:
        stop(packing)


class Advance:
    """One move of HEAD, or of the branch that it names, from ``old`` ("" for none) to ``new``."""

    def __init__(self, git: PrivateGit, old: str, new: str) -> None:
        self._git = git
        self._old = old
        self._new = new
        self._real = git.repository.git_directory / "index"
        self._read = git.git_directory / "index"
        self._next = git.git_directory / "next-index"
        self._lock = self._real.with_name("index.lock")

    def prepare(self) -> list[bytes]:
        """Make the new index; returns the paths that are staged otherwise, which forbid it."""
        git = self._git
        index = {"GIT_INDEX_FILE": str(self._next)}
        if self._read.exists():
            self._next.write_bytes(self._read.read_bytes())
        old_tree, new_tree = tree_of(git, self._old), tree_of(git, self._new)
        staged_tree = git.run("write-tree", environment=index).decode().strip()
        moved = {
            change.path: change.oid
            for change in changes_between(git, old_tree, new_tree, renames=False)
        }
        wrong = [
            change.path
            for change in changes_between(git, old_tree, staged_tree, renames=False)
            if change.path in moved and moved[change.path] != change.oid
        ]
        if not wrong:
            git.run(
                "-c", "core.splitIndex=false", "read-tree", "-i", "-m",
                old_tree if self._old else empty_tree(git), new_tree,
                environment=index,
            )  # fmt: skip
        return wrong

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the index: no other git of the user's changes it meanwhile.

        Raises ``busy`` when another does, ``conflict`` when the index has changed since it was
        read.
        """
        try:
            descriptor = os.open(
                self._lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644
            )
        except FileExistsError:
            raise BangerError(
                Code.BUSY,
                f"another git is at work in {printable(str(self._git.repository.top))}",
                hint=f"wait for it, or remove {printable(str(self._lock))} if there is none",
            ) from None
        try:
            with open(descriptor, "wb") as file:
                if _digest(self._real) != _digest(self._read):
                    raise _changed(self._git.repository)
                file.write(self._next.read_bytes())
            with suppress(FileNotFoundError):
                self._lock.chmod(self._real.stat().st_mode & 0o777)
            yield
        finally:
            self._lock.unlink(missing_ok=True)

    def move(self, message: str) -> None:
        """Inside ``locked``. Raises ``conflict`` when HEAD has changed since it was read."""
        self._update(message)
        self._lock.replace(self._real)

    def _update(self, message: str) -> None:
        repository = self._git.repository
        git = GitProcess(repository.top, clean_environment())
        old = self._old or "0" * len(self._new)
        done = git.attempt(*HARMLESS, "update-ref", "-m", message, "HEAD", self._new, old)
        if done.status:
            raise (
                _changed(repository)
                if b"but expected" in done.stderr
                else BangerError(Code.DENIED, f"git could not move the branch: {done.complaint}")
            )


def _digest(path: Path) -> bytes:
    """Of a file's content; empty without a file."""
    try:
        with open_regular(path) as descriptor, open(descriptor, "rb", closefd=False) as file:
            return hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError:
        return b""


def _changed(repository: Repository) -> BangerError:
    return BangerError(
        Code.CONFLICT,
        f"the repository {printable(str(repository.top))} has changed meanwhile",
        hint="nothing was changed by this; try again",
    )
