"""What git's plumbing lists of an index and a work tree, as records.

``ls-files -s -v -z`` (git-ls-files(1)) and the raw format of ``diff-files`` and ``diff-index``
(git-diff-index(1), "RAW OUTPUT FORMAT"). Submodules are never looked into: that would run a git in
them, with their own configuration.
"""

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from services.workspaces.repository.git_process import GitProcess
from shared.errors import BangerError, Code
from shared.plain_text import printable

GITLINK = 0o160000
"""The mode of a submodule in a tree or an index."""
SYMLINK = 0o120000

_FORBIDDEN = re.compile(rb"(?:^|/)(?:\.\.?|\.git)?(?:/|$)", re.IGNORECASE)
"""A part that is empty, ``.``, ``..`` or ``.git`` (verify_path of git's read-cache.c)."""
_RAW = ("--raw", "-z", "--no-renames", "--no-abbrev", "--no-ext-diff")


class Tracked(NamedTuple):
    """One entry of an index."""

    tag: bytes
    """``H``, or ``S`` for skip-worktree, ``M`` for unmerged; in lower case: assume-unchanged."""
    mode: int
    oid: str
    stage: bytes
    """``0``, or ``1`` to ``3`` while a conflict is not resolved."""
    path: bytes


class RawChange(NamedTuple):
    """One difference. A side that is not there has mode 0."""

    old_mode: int
    new_mode: int
    status: bytes
    """A, D, M, T or U."""


def list_tracked(git: GitProcess) -> list[Tracked]:
    """All entries of the index, those in the directories of a sparse index too.

    Raises ``invalid`` for a path that git would never have added: one that leads out of the
    repository or into ``.git``. An index of others can hold anything.
    """
    lines = git.run("ls-files", "-s", "-v", "-z").split(b"\0")[:-1]
    found = [_tracked(line) for line in lines]
    for one in found:
        if _FORBIDDEN.search(one.path):
            name, place = printable(os.fsdecode(one.path), 200), printable(str(git.cwd), 400)
            raise BangerError(
                Code.INVALID, f"the index of {place} holds a path that git forbids: {name}"
            )
    return found


def work_tree_changes(git: GitProcess) -> dict[bytes, RawChange]:
    """Where the work tree is not what the index noted, by path; submodules are left out."""
    return _changes(git.run("diff-files", *_RAW, "--ignore-submodules=all"))


def index_changes(git: GitProcess, tree: str) -> dict[bytes, RawChange]:
    """Where the index is not what a tree or commit has."""
    return _changes(git.run("diff-index", *_RAW, "--cached", "--ignore-submodules=dirty", tree))


def list_untracked(git: GitProcess, *, all_needed: bool) -> list[bytes]:
    """Files that are neither tracked nor ignored. A repository in between ends with a slash.

    With ``all_needed`` raises ``denied`` for a directory that cannot be read.
    """
    found = git.attempt("ls-files", "-o", "--exclude-standard", "-z")
    if found.status or (all_needed and b"could not open directory" in found.stderr):
        code = Code.DENIED if b"Permission denied" in found.stderr else Code.INVALID
        raise BangerError(code, f"cannot list {printable(str(git.cwd), 400)}: {found.complaint}")
    return found.stdout.split(b"\0")[:-1]


def change_flags(git: GitProcess, option: str, paths: Iterable[bytes]) -> None:
    """Set or clear a bit of entries in the copy of the index, with an ``update-index`` option."""
    git.run("update-index", option, "-z", "--stdin", stdin=b"".join(p + b"\0" for p in paths))


def refresh(git: GitProcess) -> None:
    """Compare the bytes of files whose times are not those of the index, and note what is equal."""
    git.attempt("update-index", "-q", "--ignore-submodules", "--refresh")


def _tracked(line: bytes) -> Tracked:
    facts, _, path = line.partition(b"\t")
    return Tracked(facts[:1], int(facts[2:8], 8), facts[9:-2].decode(), facts[-1:], path)


def _changes(listing: bytes) -> dict[bytes, RawChange]:
    words = listing.split(b"\0")[:-1]
    found: dict[bytes, RawChange] = {}
    for facts, path in zip(words[0::2], words[1::2], strict=True):
        old_mode, new_mode, _, _, status = facts.removeprefix(b":").split(b" ")
        change = RawChange(int(old_mode, 8), int(new_mode, 8), status[:1])
        # A conflict is told twice: as unmerged, and with what the work tree has.
        if path not in found or found[path].status == b"U":
            found[path] = change
    return found
