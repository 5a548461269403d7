"""Where a repository of the host is: read from its files, since no git may run in the api.

The layout is that of gitrepository-layout(5): HEAD names a ref, which is a file or a line of
packed-refs; in a linked worktree and in a submodule ``.git`` is a file that leads elsewhere. A
repository that keeps its refs in another way has no answer here.
"""

import os
import re
import stat
from pathlib import Path

SMALL, LARGE = 4096, 32 << 20
"""Bytes that are read of a file with one line, and of packed-refs."""
LONGEST_CHAIN = 5
"""Symbolic refs that are followed, as git does (refs.h, SYMREF_MAXDEPTH)."""

_COMMIT = re.compile(rb"([0-9a-f]{40}(?:[0-9a-f]{24})?)\s*")
_REF = re.compile(rb"ref:\s*(refs/[^\0\n]+?)\s*")


def repository_head(path: str) -> str:
    """The commit that HEAD means in the repository around ``path``; "" when it means none or that
    cannot be told."""
    try:
        private = _git_directory(Path(path).resolve())
        shared = _common_directory(private)
        content = _read(private / "HEAD", SMALL)
        for _ in range(LONGEST_CHAIN):
            if commit := _COMMIT.fullmatch(content):
                return commit[1].decode()
            ref = _REF.fullmatch(content)
            if ref is None or b".." in ref[1]:
                return ""
            content = _ref(shared, ref[1])
    except (OSError, ValueError):  # ValueError: a NUL in a path
        pass
    return ""


def _git_directory(inside: Path) -> Path:
    """``.git`` of the repository around ``inside``, or what the file of this name leads to.

    Raises:
        FileNotFoundError: there is none.
    """
    for directory in (inside, *inside.parents):
        path = directory / ".git"
        if path.is_dir():
            return path
        if path.exists():
            content = os.fsdecode(_read(path, SMALL)).strip()
            return directory / content.removeprefix("gitdir: ")
    raise FileNotFoundError(inside)


def _common_directory(private: Path) -> Path:
    """Where a linked worktree has what it shares with the others."""
    try:
        return private / os.fsdecode(_read(private / "commondir", SMALL)).strip()
    except FileNotFoundError:
        return private


def _ref(directory: Path, name: bytes) -> bytes:
    try:
        return _read(directory / os.fsdecode(name), SMALL)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        packed = _read(directory / "packed-refs", LARGE)
    line = re.search(rb"^([0-9a-f]+) " + re.escape(name) + rb"$", packed, re.MULTILINE)
    return line[1] if line else b""


def _read(path: Path, limit: int) -> bytes:
    """The start of a regular file. Raises OSError for anything else."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise IsADirectoryError(f"{path} is no regular file")
        return file.read(limit)
