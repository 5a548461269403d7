"""Ownership by flock(2): the kernel releases it when the holder dies, however it dies.

A pidfile can lie, an flock cannot (runtime rules 12 and 19). The holder's pid is written into the
file for people and for pidfd_open; who owns the thing is decided by the lock alone.
"""

import fcntl
import os
from pathlib import Path


class Lock:
    """An exclusive lock held until ``release`` or the end of the process."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    @classmethod
    def try_acquire(cls, path: Path) -> "Lock | None":
        """The lock, or None when somebody holds it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        return cls(path, fd)

    def release(self) -> None:
        os.close(self._fd)


def holder(path: Path) -> int | None:
    """The pid of the process that holds the lock at ``path``, or None when nobody does."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(fd, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isdigit() else None
    else:
        return None
    finally:
        os.close(fd)
