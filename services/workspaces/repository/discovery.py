"""From a path of the host to the repository around it, or the reason why it is not taken.

``git rev-parse`` decides, with the user's own configuration, because it applies git's rule of who
may own a repository (safe.directory, git-config(1)). It runs no program that a repository names.
Everything later runs in a git directory of our own: see private_git.py.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from services.workspaces.repository.git_process import (
    GitProcess,
    GitResult,
    clean_environment,
)
from services.workspaces.repository.regular_file import read_start
from shared.errors import BangerError, Code
from shared.plain_text import printable

DISCOVERY_SECONDS = 30.0
"""A configuration that includes a FIFO keeps git waiting."""
MOST_GITFILE = 8192
"""Bytes of a ``.git`` file or a ``commondir``."""


@dataclass(frozen=True)
class Repository:
    """Where git keeps what. All three are absolute.

    ``git_directory`` has HEAD and the index; ``common_directory`` has objects, refs and config. In
    a linked worktree they differ (gitrepository-layout(5)).
    """

    top: Path
    """The top level of the work tree."""
    git_directory: Path
    common_directory: Path
    object_format: str = "sha1"


def discover(path: str | Path, *, limit_seconds: float = DISCOVERY_SECONDS) -> Repository:
    """The repository that ``path``, a directory, is in.

    Raises ``not_found``, ``denied`` for what this user may not read or git takes for another
    user's, ``invalid`` for anything that is not a repository with a work tree around its ``.git``.
    """
    place = Path(path)
    _require_directory(place)
    git = GitProcess(place, clean_environment())
    asked = git.attempt(
        "rev-parse",
        "--is-bare-repository",
        "--is-inside-git-dir",
        "--is-inside-work-tree",
        "--show-object-format",
        limit_seconds=limit_seconds,
    )
    if asked.status:
        raise _refusal(asked, place)
    bare, inside_git, inside_work_tree, object_format = asked.stdout.decode().split()
    if bare == "true":
        raise _invalid(place, "is in a bare repository, which has no files", "clone it first")
    if inside_git == "true":
        raise _invalid(place, "is inside a git directory", "name the work tree that it belongs to")
    if inside_work_tree != "true":
        raise _elsewhere(place)
    top = _path_of(git, place, "--show-toplevel", limit_seconds)
    found = _path_of(git, place, "--absolute-git-dir", limit_seconds)
    repository = Repository(top, found, _common_directory(found), object_format)
    _require_own_git_directory(repository, place)
    _require_readable(repository)
    return repository


def git_directory_at(top: Path) -> Path | None:
    """Where ``top/.git`` leads: itself, or what a "gitdir:" file names; None without one."""
    entry = top / ".git"
    try:
        kind = os.lstat(entry).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISREG(kind):
        text = read_start(entry, MOST_GITFILE)
        if not text.startswith(b"gitdir: "):
            return None
        return top / os.fsdecode(text.removeprefix(b"gitdir: ").rstrip(b"\r\n"))
    return entry


def _require_directory(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise BangerError(Code.NOT_FOUND, f"there is no {printable(str(path))}") from None
    except PermissionError:
        raise _unreadable(path) from None
    except OSError as error:
        raise _invalid(path, f"cannot be opened: {error.strerror}") from None
    if not stat.S_ISDIR(mode):
        raise _invalid(path, "is not a directory", "name a directory of the repository")
    if not os.access(path, os.R_OK | os.X_OK):
        raise _unreadable(path)


def _refusal(result: GitResult, path: Path) -> BangerError:
    """Why ``git rev-parse`` does not take ``path``."""
    text = result.stderr.decode(errors="surrogateescape")
    if "dubious ownership" in text:
        remedy = [line.strip() for line in text.splitlines() if "safe.directory" in line]
        return BangerError(
            Code.DENIED,
            f"the repository at {printable(str(path))} belongs to another user",
            hint="if you trust it: "
            + printable(remedy[0] if remedy else "git config --global --add safe.directory DIR"),
        )
    if "not a git repository" in text:
        return _invalid(path, "is not in a git repository", "run 'git init' there, or name another")
    if "Permission denied" in text:
        return BangerError(Code.DENIED, f"git cannot read the repository: {result.complaint}")
    return _invalid(path, f"is in a repository that git does not take: {result.complaint}")


def _path_of(git: GitProcess, place: Path, option: str, limit_seconds: float) -> Path:
    """One path that rev-parse prints; it may hold line breaks, so it is asked for by itself."""
    asked = git.attempt("rev-parse", option, limit_seconds=limit_seconds)
    if asked.status:
        raise _refusal(asked, place)
    return Path(os.fsdecode(asked.stdout.removesuffix(b"\n")))


def _common_directory(git_directory: Path) -> Path:
    """What ``commondir`` of a linked worktree names; otherwise the git directory itself."""
    try:
        named = read_start(git_directory / "commondir", MOST_GITFILE).rstrip(b"\r\n")
    except FileNotFoundError:
        return git_directory
    return Path(os.path.normpath(git_directory / os.fsdecode(named)))


def _require_own_git_directory(repository: Repository, path: Path) -> None:
    """Refuse a work tree that the configuration (core.worktree) put somewhere else."""
    here = git_directory_at(repository.top)
    try:
        if here is None or not here.samefile(repository.git_directory):
            raise _elsewhere(path)
    except OSError:
        raise _elsewhere(path) from None


def _require_readable(repository: Repository) -> None:
    for directory in (repository.git_directory, repository.common_directory / "objects"):
        if not os.access(directory, os.R_OK | os.X_OK):
            raise _unreadable(directory)
    index = repository.git_directory / "index"
    if index.exists() and not os.access(index, os.R_OK):
        raise _unreadable(index)


def _elsewhere(path: Path) -> BangerError:
    return _invalid(
        path,
        "is in a repository whose work tree is elsewhere (core.worktree)",
        "take core.worktree out of its configuration, or clone it",
    )


def _unreadable(path: Path) -> BangerError:
    return BangerError(Code.DENIED, f"this user may not read {printable(str(path))}")


def _invalid(path: Path, what: str, hint: str = "") -> BangerError:
    return BangerError(Code.INVALID, f"{printable(str(path))} {what}", hint=hint)
