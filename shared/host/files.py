"""Writing files that other processes read: whole or not at all, also after a power cut. Whether
there is space for them is asked before hours of work, not after."""

import errno
import os
from pathlib import Path

from shared.errors import BangerError, Code

RESERVE = 64 << 20
"""Bytes that are left alone: the database and the logs have to be written, too."""


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace the file at ``path``: readers see the old content or the new, never a part.

    Raises:
        BangerError: ``no_space``; the old content, if any, is still there then.
        OSError: for any other refusal of the operating system.
    """
    draft = draft_of(path)
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        move_into_place(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        if is_full(error):
            raise BangerError(
                Code.NO_SPACE, f"no space left to write {path}", hint="free some space"
            ) from error
        raise


def draft_of(path: Path) -> Path:
    """Where this process writes what is to replace ``path``."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def sweep_drafts(path: Path) -> None:
    """Remove the drafts of ``path`` that killed processes have left. No other process may be
    writing the file."""
    for draft in path.parent.glob(f".{path.name}.*.tmp"):
        if draft != draft_of(path):
            draft.unlink(missing_ok=True)


def move_into_place(draft: Path, path: Path) -> None:
    """Give the finished file ``draft`` the name ``path``, replacing what has it.

    The content is on the disk before the name is, and the name before this returns: a rename alone
    may be lost, or leave an empty file, when the power fails (rename(2), fsync(2)).

    Raises:
        OSError: as rename(2) and fsync(2).
    """
    sync(draft)
    draft.replace(path)
    sync(path.parent)


def read_tail(path: Path, limit: int, start: int = 0) -> str:
    """The end of a log: at most ``limit`` bytes, nothing before offset ``start``; "" without one.

    What is no UTF-8 becomes U+FFFD.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(start, size - limit))
            return file.read(limit).decode(errors="replace")
    except FileNotFoundError:
        return ""


def sync(path: Path) -> None:
    """fsync a file, or a directory: the names in it. Raises OSError as fsync(2)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_full(error: OSError) -> bool:
    """Whether the disk, or the user's share of it, has no space left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def free_bytes(path: Path) -> int:
    """What an ordinary user may still write on the disk of ``path``, which need not be there yet.

    Raises:
        OSError: as statvfs(3).
    """
    while not path.exists() and path != path.parent:
        path = path.parent
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def require_space(path: Path, needed: int, what: str, hint: str = "") -> None:
    """Raise ``no_space`` unless ``needed`` bytes fit on the disk of ``path``.

    ``what`` begins the sentence: "the image x". ``hint``: what helps, if it is not to free space.
    A disk that cannot be asked refuses by itself later.
    """
    try:
        free = free_bytes(path)
    except OSError:
        return
    if free < needed + RESERVE:
        raise BangerError(
            Code.NO_SPACE,
            f"not enough space: {what} needs {_mib(needed + RESERVE)} in {path}, "
            f"{_mib(free, up=False)} is free",
            hint=hint
            or "see what takes it: banger system df; remove downloads: banger image prune",
            details={"path": str(path), "needed": needed + RESERVE, "free": free},
        )


def _mib(count: int, *, up: bool = True) -> str:
    """In MiB, a need rounded up and what is free down, so that the sentence is never absurd."""
    return f"{-(-count // (1 << 20)) if up else count >> 20} MiB"
