"""One stack of services per state directory: the lock that names its run directory.

What the services own (database, disks, keys) is in the state directory, so this lock is, too. The
run directory may vanish or be another one at the next login. Every process that owns something
there (launcher, broker, store, images, api, supervisors) is a member and holds the lock shared::

    membership = join(state, run)      # raises when the members have another run directory
    serving(state)                     # the members' run directory, None without members

``stack.lock`` holds the path of the run directory. Byte 1 of it is locked shared by the members,
byte 0 exclusively while somebody joins.
"""

import fcntl
import os
from typing import TYPE_CHECKING

from shared.errors import BangerError, Code
from shared.host.locks import is_file_at, is_locked, lock_request

if TYPE_CHECKING:
    from pathlib import Path

STACK_LOCK = "stack.lock"
_GATE, _MEMBERS = 0, 1


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
    try:
        fd = os.open(f"{state}/{STACK_LOCK}", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return os.fsdecode(_written(fd)) or None if is_locked(fd, _MEMBERS, 1) else None
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
            fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, lock_request(fcntl.F_WRLCK, _GATE, 1))
            if not is_file_at(fd, path):
                os.close(fd)
                continue
            _agree(fd, state, run)
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lock_request(fcntl.F_RDLCK, _MEMBERS, 1))
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lock_request(fcntl.F_UNLCK, _GATE, 1))
        except (BangerError, OSError):
            os.close(fd)
            raise
        return fd


def _agree(fd: int, state: str, run: bytes) -> None:
    """Write ``run`` into the lock unless members have done so. Raises ``conflict``."""
    written = _written(fd)
    if not is_locked(fd, _MEMBERS, 1):
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
