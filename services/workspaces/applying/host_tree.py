"""The host's files as they are now, as a tree in the quarantine, and the index that belongs to it.

A copy of the repository's index is brought up to date with the work tree: edits and deletions that
are not staged, and files that git does not track on the host but that were placed in the guest, or
that the guest has made under the same name. Nothing is written into the repository. The index keeps
what git knows of each file on disk, so a change that comes later is seen.
"""

import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.workspaces.incoming.changes import (
    GITLINK,
    TreeChange,
    changes_between,
    ended,
    fields,
    parse_raw,
    stop,
)
from services.workspaces.repository.conversion import unmodified_pointers
from services.workspaces.repository.private_git import PrivateGit
from services.workspaces.repository.work_tree import WorkTree
from shared.errors import BangerError, Code
from shared.plain_text import printable

Stamp = tuple[int, ...]
"""What tells one content of a file from a later one, as git does it."""


@dataclass(frozen=True)
class HostTree:
    """``tree`` is what the work tree holds; ``index`` is a file, for GIT_INDEX_FILE."""

    git: PrivateGit
    tree: str
    index: Path
    pointers: Mapping[bytes, Stamp]
    """Files of Git LFS that were touched and not edited; the index does not know that."""

    def changed_since(self, paths: Collection[bytes]) -> list[bytes]:
        """Those of ``paths`` that are not any more as they were when this was made."""
        with WorkTree(self.git.repository.top) as files:
            return [
                change.path
                for change in _work_tree_changes(self.git, {"GIT_INDEX_FILE": str(self.index)})
                if change.path in paths
                and self.pointers.get(change.path) != _stamp(files, change.path)
            ]


def host_tree(git: PrivateGit, placed: str, theirs: str) -> HostTree:
    """The host's files; ``placed`` and ``theirs`` are the trees whose paths may be untracked.

    Raises ``conflict`` in the middle of a merge, and what a failed git means.
    """
    index = git.git_directory / "host-index"
    copied = git.git_directory / "index"
    if copied.exists():
        shutil.copy2(copied, index)
    environment = {"GIT_INDEX_FILE": str(index)}
    _refuse_unmerged(git, environment)
    gone: list[bytes] = []
    there: list[bytes] = []
    with WorkTree(git.repository.top) as files:
        _look_at_all(git, environment, files)
        changes = list(_work_tree_changes(git, environment))
        modified = (
            (change.path, change.old_oid) for change in changes if change.kind == "modified"
        )
        touched = unmodified_pointers(git, files, modified)
        pointers = {path: _stamp(files, path) for path in touched}
        for change in changes:
            # A FIFO has no place in a tree: as for git, the file is gone.
            if change.path not in touched:
                (there if _is_file(files, change.path) else gone).append(change.path)
        there += _untracked(git, environment, files, placed, theirs)
    zeros = "0" * len(placed)
    if gone:
        lines = b"".join(b"0 %s\t%s\0" % (zeros.encode(), path) for path in gone)
        git.run("update-index", "-z", "--index-info", stdin=lines, environment=environment)
    if there:
        git.run(
            "update-index", "-z", "--add", "--replace", "--stdin",
            stdin=b"".join(path + b"\0" for path in there),
            environment=environment,
        )  # fmt: skip
    tree = git.run("write-tree", environment=environment).decode().strip()
    return HostTree(git, tree, index, pointers)


def _work_tree_changes(git: PrivateGit, environment: dict[str, str]) -> Iterator[TreeChange]:
    """Files that differ from the index. Submodules are repositories of their own."""
    git.attempt("update-index", "-q", "--refresh", environment=environment)
    process = git.start(
        "diff-files", "-z", "--raw", "--no-abbrev", "--no-renames", "--ignore-submodules=all",
        environment=environment,
    )  # fmt: skip
    try:
        assert process.stdout
        for change in parse_raw(fields(process.stdout)):
            if not change.of_repository:
                yield change
        ended(process, "diff-files", git.cwd)
    finally:
        stop(process)


def _refuse_unmerged(git: PrivateGit, environment: dict[str, str]) -> None:
    if git.run("ls-files", "-u", "-z", environment=environment):
        raise BangerError(
            Code.CONFLICT,
            f"the repository {printable(str(git.repository.top))} is in the middle of a merge",
            hint="end it first: git status",
        )


def _look_at_all(git: PrivateGit, environment: dict[str, str], files: WorkTree) -> None:
    """Take away the marks that keep edits out of git's sight (git-update-index(1)): a file that is
    marked must not be overwritten either. Files outside a sparse checkout stay out of it."""
    assumed: list[bytes] = []
    skipped: list[bytes] = []
    for line in _lines(git, environment, "-v"):
        tag, path = line[:1], line[2:]
        if tag.islower():
            assumed.append(path)
        if tag in b"Ss" and _is_file(files, path):
            skipped.append(path)
    for option, paths in (("assume-unchanged", assumed), ("skip-worktree", skipped)):
        if paths:
            git.run(
                "update-index", "-z", f"--no-{option}", "--stdin",
                stdin=b"".join(path + b"\0" for path in paths),
                environment=environment,
            )  # fmt: skip


def _untracked(
    git: PrivateGit, environment: dict[str, str], files: WorkTree, placed: str, theirs: str
) -> list[bytes]:
    """Paths of the two trees that are files on the host and not in the index."""
    wanted = {change.path for change in _missing(git, environment, placed)}
    wanted |= {
        change.path
        for change in changes_between(git, placed, theirs, renames=False)
        if change.old_mode == 0 and change.mode != GITLINK
    }
    if not wanted:
        return []
    tracked = set(_lines(git, environment))
    return [path for path in sorted(wanted - tracked) if _is_file(files, path)]


def _missing(git: PrivateGit, environment: dict[str, str], tree: str) -> Iterable[TreeChange]:
    """What is in ``tree``, and not in the index."""
    process = git.start(
        "diff-index", "--cached", "-z", "--raw", "--no-abbrev", "--no-renames", tree,
        environment=environment,
    )  # fmt: skip
    try:
        assert process.stdout
        for change in parse_raw(fields(process.stdout)):
            if change.mode == 0 and change.old_mode != GITLINK:
                yield change
        ended(process, "diff-index", git.cwd)
    finally:
        stop(process)


def _lines(git: PrivateGit, environment: dict[str, str], *options: str) -> Iterator[bytes]:
    process = git.start("ls-files", "-z", *options, environment=environment)
    try:
        assert process.stdout
        yield from fields(process.stdout)
        ended(process, "ls-files", git.cwd)
    finally:
        stop(process)


def _stamp(files: WorkTree, path: bytes) -> Stamp:
    found = files.lstat(path)
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns) if found else ()


def _is_file(files: WorkTree, path: bytes) -> bool:
    """Whether a file or a symlink has this path, with no symlink on the way."""
    found = files.lstat(path)
    return found is not None and (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode))
