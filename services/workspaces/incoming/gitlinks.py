"""Repositories within a repository: a tree names the commit of each (a gitlink).

Their files come out of the guest from the repository that they are in. The gitlinks themselves stay
as the host has them: a commit made in the guest is not on the host, so a name of it there would
lead nowhere.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from services.workspaces.incoming.changes import changes_between, ended, fields, stop
from services.workspaces.repository.discovery import Repository, discover
from services.workspaces.repository.git_process import GitProcess
from services.workspaces.repository.work_tree import WorkTree
from shared.errors import BangerError


def gitlinks(git: GitProcess, tree: str) -> dict[bytes, str]:
    """Path → commit of each repository within ``tree``."""
    return dict(_links(git, "ls-tree", "-r", "-z", "--full-tree", tree))


def tracked_gitlinks(git: GitProcess) -> dict[bytes, str]:
    """The same of the index."""
    return dict(_links(git, "ls-files", "-s", "-z"))


def _links(git: GitProcess, *command: str) -> Iterator[tuple[bytes, str]]:
    process = git.start(*command)
    try:
        assert process.stdout
        for line in fields(process.stdout):
            if line.startswith(b"160000 "):
                facts, _, path = line.partition(b"\t")
                words = facts.split(b" ")  # MODE commit OID, or MODE OID STAGE
                yield path, words[2 if words[1] == b"commit" else 1].decode()
        ended(process, command[0], git.cwd)
    finally:
        stop(process)


def submodule_at(repository: Repository, path: bytes) -> Repository | None:
    """The host's repository at a gitlink's path, reached without a symlink; None without one."""
    with WorkTree(repository.top) as files:
        found = files.lstat(path + b"/.git")
    if found is None or stat.S_ISLNK(found.st_mode):
        return None
    top = repository.top / os.fsdecode(path)
    try:
        inner = discover(top)
    except BangerError:
        return None
    return inner if inner.top == top else None


def keep_gitlinks(
    git: GitProcess, directory: Path, placed: str, tree: str
) -> tuple[str, list[bytes]]:
    """``tree`` with the gitlinks of ``placed``, and the paths whose own it had.

    ``directory`` takes an index for a moment.
    """
    changed = [
        change
        for change in changes_between(git, placed, tree, renames=False)
        if change.of_repository
    ]
    if not changed:
        return tree, []
    index = {"GIT_INDEX_FILE": str(directory / "gitlinks-index")}
    git.run("read-tree", tree, environment=index)
    lines = []
    for change in changed:
        if change.mode == 0 and _has_files(git, change.path, index):
            continue  # the guest keeps files where a repository was
        lines.append(b"%o %s\t%s\0" % (change.old_mode, change.old_oid.encode(), change.path))
    git.run("update-index", "-z", "--index-info", stdin=b"".join(lines), environment=index)
    kept = git.run("write-tree", environment=index).decode().strip()
    return kept, [change.path for change in changed]


def _has_files(git: GitProcess, path: bytes, index: dict[str, str]) -> bool:
    below = git.run("--literal-pathspecs", "ls-files", "-z", "--", path + b"/", environment=index)
    return bool(below)


def is_below(path: bytes, links: dict[bytes, str]) -> bool:
    """Whether a path is in one of these repositories, or is one."""
    parts = path.split(b"/")
    return any(b"/".join(parts[:end]) in links for end in range(1, len(parts) + 1))
