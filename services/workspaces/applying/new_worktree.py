"""A git worktree of the host's repository that holds the guest's files (git-worktree(1)).

HEAD is the commit that was prepared, or with commits the guest's own; what the guest has beyond it
are changes in the worktree, as in the guest. It is registered in the repository, so ``git worktree
list`` and ``remove`` know it.
"""

import os
import shutil
from pathlib import Path

from services.workspaces.applying.advance import HARMLESS
from services.workspaces.applying.placing import permitted
from services.workspaces.repository.discovery import Repository, discover
from services.workspaces.repository.git_process import GitProcess, clean_environment, git_error
from services.workspaces.repository.private_git import PrivateGit
from shared.errors import BangerError, Code
from shared.plain_text import printable


def check_directory(repository: Repository, directory: Path) -> None:
    """Raise ``invalid`` or ``conflict`` unless a worktree can be made there."""
    name = printable(str(directory))
    if not directory.is_absolute():
        raise BangerError(Code.INVALID, f"{name} is not an absolute path")
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise BangerError(Code.CONFLICT, f"{name} is not a directory", hint="name another")
    if directory.exists() and next(directory.iterdir(), None) is not None:
        raise BangerError(Code.CONFLICT, f"{name} is not empty", hint="name another directory")
    place = directory.resolve()
    for inside in (repository.git_directory, repository.common_directory):
        if place.is_relative_to(inside.resolve()):
            raise BangerError(
                Code.INVALID, f"{name} is inside the git directory", hint="name another directory"
            )


def make_worktree(git: PrivateGit, directory: Path, head: str, tree: str) -> None:
    """Register ``directory`` as a worktree at the commit ``head``, and fill it with ``tree``.

    Raises ``denied`` when git cannot make it; nothing is left then.
    """
    repository = git.repository
    real = GitProcess(repository.top, clean_environment())
    there = directory.exists()
    before = os.umask(0o777 & ~permitted(repository.top))
    admin: Path | None = None
    try:
        add = ("worktree", "add", "--no-checkout", "--detach", str(directory), head)
        done = real.attempt(*HARMLESS, *add)
        if done.status:
            raise _refusal(directory, done.complaint)
        admin = discover(directory).git_directory
        _fill(git, directory, admin, head, tree)
    except BaseException:
        _remove(repository, directory, admin, keep=there)
        raise
    finally:
        os.umask(before)


def _fill(git: PrivateGit, directory: Path, admin: Path, head: str, tree: str) -> None:
    environment = {"GIT_WORK_TREE": str(directory), "GIT_INDEX_FILE": str(admin / "index")}
    here = GitProcess(directory, {**git.environment, **environment})
    plain = ("-c", "core.sparseCheckout=false", "-c", "core.splitIndex=false")
    done = here.attempt(*plain, "read-tree", "--reset", "-u", tree)
    if done.status:
        raise git_error(done, "read-tree", directory)
    here.run(*plain, "read-tree", "-i", "-m", f"{head}^{{tree}}")


def _remove(repository: Repository, directory: Path, admin: Path | None, *, keep: bool) -> None:
    """Take a half-made worktree away: its files, and its entry in the repository."""
    worktrees = repository.common_directory / "worktrees"
    if admin is None:
        admin = next((entry for entry in worktrees.glob("*") if _is_of(entry, directory)), None)
    if admin is not None and admin.parent.samefile(worktrees):
        shutil.rmtree(admin, ignore_errors=True)
        if not any(worktrees.iterdir()):
            worktrees.rmdir()
    for entry in list(directory.iterdir()) if directory.is_dir() else []:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    if not keep and directory.is_dir():
        directory.rmdir()


def _is_of(entry: Path, directory: Path) -> bool:
    try:
        return (entry / "gitdir").read_text(errors="replace").strip() == str(directory / ".git")
    except OSError:
        return False


def _refusal(directory: Path, words: str) -> BangerError:
    return BangerError(
        Code.DENIED, f"git could not make a worktree at {printable(str(directory))}: {words}"
    )
