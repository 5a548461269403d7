"""Ownership by a file lock: the kernel releases it when the holder ends, however it ends.

A pidfile can name a process that has ended, or another one with the same pid; a lock cannot. The
holder's pid is written into the file for people and for pidfd_open, but the lock alone decides
which process owns the thing. A lock lies beside what it guards: a directory that vanishes earlier
would let a second owner in.

The locks belong to open file descriptions (fcntl(2), F_OFD_SETLK). They last as long as those of
flock(2), but can be queried without being taken. With flock, a query would take a free lock for a
moment, and another process that tries to take it at that moment would fail.

One stack of services serves a state directory. What they own (database, disks, keys) is there, and
so is the lock that names their run directory, which may vanish or be another one at the next login.
Every process that owns something there (launcher, broker, store, images, api, supervisors) is a
member and holds the lock shared::

    membership = join(state, run)      # raises when the members have another run directory
    serving(state)                     # the members' run directory, None without members
"""

import fcntl
import os
import struct
from typing import TYPE_CHECKING

from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from pathlib import Path

_FLOCK = struct.Struct("hhqqi0q")
"""struct flock: l_type, l_whence, l_start, l_len, l_pid. Zeros mean the whole file."""

STACK_LOCK = "stack.lock"
"""Holds the path of the run directory. Byte ``_MEMBERS`` is locked shared by the members, byte
``_GATE`` exclusively while somebody joins."""
_GATE, _MEMBERS = 0, 1


def _lock_request(kind: int, start: int = 0, length: int = 0) -> bytes:
    """The argument of fcntl(2) for a lock of ``kind`` (F_WRLCK, …); by default of the whole
    file."""
    return _FLOCK.pack(kind, os.SEEK_SET, start, length, 0)


def _is_locked(fd: int, start: int = 0, length: int = 0) -> bool:
    """Whether another open file description holds a lock on these bytes."""
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _lock_request(fcntl.F_WRLCK, start, length))
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def _is_file_at(fd: int, path: "str | Path") -> bool:
    """Whether the open file ``fd`` is still the one that ``path`` names."""
    try:
        named = os.stat(path)  # noqa: PTH116 (pathlib costs a command 3 ms)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(fd))


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
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _lock_request(fcntl.F_WRLCK))
            os.ftruncate(fd, 0)
            os.write(fd, f"{os.getpid()}\n".encode())
        except BlockingIOError:
            os.close(fd)
            return None
        except OSError:  # such as a full disk
            os.close(fd)
            raise
        return cls(path, fd)

    def is_lost(self) -> bool:
        """Whether the file is no longer at its path: another process can take the lock there."""
        return not _is_file_at(self._fd, self.path)

    def release(self) -> None:
        os.close(self._fd)


def is_held(path: "str | Path") -> bool:
    """Whether a process holds the lock at ``path``."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return _is_locked(fd)
    finally:
        os.close(fd)


def holder(path: "str | Path") -> int | None:
    """The pid of the process that holds the lock at ``path``, or None when no process does."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if not _is_locked(fd):
            return None
        text = os.pread(fd, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isascii() and text.isdigit() else None
    finally:
        os.close(fd)


class Membership:
    """Held until the end of the process, or until ``release``."""

    def __init__(self, *fds: int) -> None:
        self._fds = fds

    def release(self) -> None:
        for fd in self._fds:
            os.close(fd)


def join(state: "Path", run: "Path") -> Membership:
    """Become one of the processes that serve ``state`` by way of ``run``. Both exist.

    Raises:
        BangerError: ``conflict`` when others serve it from another run directory.
        OSError: the lock cannot be opened or written.
    """
    member = _join(state / STACK_LOCK, str(state), os.fsencode(run))
    try:
        return Membership(member, _kept_from_cleaners(run))
    except OSError:
        os.close(member)
        raise


def serving(state: str) -> str | None:
    """The run directory from which the state directory is served, None when nobody serves it."""
    run, is_served = last_served(state)
    return run if is_served else None


def last_served(state: str) -> tuple[str | None, bool]:
    """The run directory from which the state directory was served last, and whether it still is."""
    try:
        fd = os.open(f"{state}/{STACK_LOCK}", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None, False
    try:
        return os.fsdecode(_written(fd)) or None, _is_locked(fd, _MEMBERS, 1)
    finally:
        os.close(fd)


def served_elsewhere(state: str, served: str) -> BangerError:
    """The error of a command or service that was told to use another run directory."""
    return BangerError(
        Code.CONFLICT,
        f"{state} is served from {served}",
        hint=f"set BANGER_RUN_DIR={served}",
    )


def same_directory(one: str, other: str) -> bool:
    """Whether both paths mean the same directory, which need not exist."""
    return one == other or os.path.realpath(one) == os.path.realpath(other)


def _join(path: "Path", state: str, run: bytes) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, _lock_request(fcntl.F_WRLCK, _GATE, 1))
            if not _is_file_at(fd, path):
                os.close(fd)
                continue
            _agree(fd, state, run)
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _lock_request(fcntl.F_RDLCK, _MEMBERS, 1))
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _lock_request(fcntl.F_UNLCK, _GATE, 1))
        except (BangerError, OSError):
            os.close(fd)
            raise
        return fd


def _agree(fd: int, state: str, run: bytes) -> None:
    """Write ``run`` into the lock unless members have done so. Raises ``conflict``."""
    written = _written(fd)
    if not _is_locked(fd, _MEMBERS, 1):
        if written != run:
            os.ftruncate(fd, 0)
            os.pwrite(fd, run + b"\n", 0)
    elif not same_directory(os.fsdecode(written), os.fsdecode(run)):
        raise served_elsewhere(state, os.fsdecode(written))


def _written(fd: int) -> bytes:
    return os.pread(fd, 4096, 0).rstrip(b"\n")


def _kept_from_cleaners(run: "Path") -> int:
    """The run directory, locked by flock(2): programs that remove old files from /tmp leave a
    locked directory and everything below it alone (tmpfiles.d(5))."""
    fd = os.open(run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(fd, fcntl.LOCK_SH)
    return fd
