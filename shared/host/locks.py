"""Ownership by a file lock: the kernel releases it when the holder ends, however it ends.

A pidfile can name a process that has ended, or another one with the same pid; a lock cannot. The
holder's pid is written into the file for people and for pidfd_open, but the lock alone decides
which process owns the thing.

The locks belong to open file descriptions (fcntl(2), F_OFD_SETLK). They last as long as those of
flock(2), but can be queried without being taken. With flock, a query would take a free lock for a
moment, and another process that tries to take it at that moment would fail.
"""

import fcntl
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FLOCK = struct.Struct("hhqqi0q")
"""struct flock: l_type, l_whence, l_start, l_len, l_pid. Zeros mean the whole file."""


def _lock_of_whole_file(kind: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0)


class Lock:
    """An exclusive lock held until ``release`` or the end of the process."""

    def __init__(self, path: "Path", fd: int) -> None:
        self.path = path
        self._fd = fd

    @classmethod
    def try_acquire(cls, path: "Path") -> "Lock | None":
        """The lock, or None when another process holds it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _lock_of_whole_file(fcntl.F_WRLCK))
        except BlockingIOError:
            os.close(fd)
            return None
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        return cls(path, fd)

    def release(self) -> None:
        os.close(self._fd)


def is_held(path: "str | Path") -> bool:
    """Whether a process holds the lock at ``path``."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _lock_of_whole_file(fcntl.F_WRLCK))
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
    finally:
        os.close(fd)


def holder(path: "str | Path") -> int | None:
    """The pid of the process that holds the lock at ``path``, or None when no process does."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _lock_of_whole_file(fcntl.F_WRLCK))
        if _FLOCK.unpack(answer)[0] == fcntl.F_UNLCK:
            return None
        text = os.pread(fd, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isascii() and text.isdigit() else None
    finally:
        os.close(fd)
