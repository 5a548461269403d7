"""Directories for work in progress: locked during the work, removed by ``sweep`` after a crash.

The lock is an flock on the directory itself. Programs that work in the directory inherit the
descriptor, so the lock is free only when the last of them has ended. After a crash of the service,
a program that still writes keeps its directory.
"""

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.errors import BangerError, Code
from shared.host.files import is_full

PREFIX = ".banger-new-"


@dataclass(frozen=True)
class Scratch:
    """A work directory. ``lock`` is the descriptor that holds the lock on it."""

    path: Path
    lock: int


def build_area() -> Path:
    """Where root filesystems are put together: $TMPDIR, else /var/tmp.

    It is not below the user's data directory, because mmdebstrap runs as another uid of a user
    namespace, which cannot enter a home directory of mode 0700. It is not /tmp, which is often in
    memory.
    """
    return Path(os.environ.get("TMPDIR") or "/var/tmp")


@contextmanager
def scratch(parent: Path, *, mode: int = 0o700) -> Iterator[Scratch]:
    """A new locked directory under ``parent``. What is left in it at the end is removed.

    Raises:
        BangerError: ``denied`` or ``no_space`` when ``parent`` cannot be written.
    """
    made = _make(parent, mode)
    try:
        yield made
    finally:
        remove_tree(made.path)
        os.close(made.lock)


def sweep(parent: Path) -> list[Path]:
    """Remove work directories of crashed processes under ``parent``. Returns what was removed.

    A work directory has ``PREFIX``, belongs to this user and is locked by no process.
    """
    return [path for path in sorted(parent.glob(f"{PREFIX}*")) if _sweep_one(path)]


def remove_tree(path: Path) -> None:
    """Remove ``path`` if it is there, without entering another filesystem.

    A killed mmdebstrap leaves files that belong to the uids of a user namespace. Only its own
    helper can enter that namespace again.
    """
    command = ["rm", "-r", "-f", "--one-file-system", "--", str(path)]
    if path.is_dir():
        subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
    if path.is_dir() and os.geteuid() != 0:
        helper = ["mmdebstrap", "--unshare-helper", *command]
        subprocess.run(helper, stderr=subprocess.DEVNULL, check=False)
        subprocess.run(command, stderr=subprocess.DEVNULL, check=False)


def _make(parent: Path, mode: int) -> Scratch:
    try:
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            path.chmod(mode)
            if (lock := _lock(path)) is not None:
                return Scratch(path, lock)
    except OSError as error:
        code = Code.NO_SPACE if is_full(error) else Code.DENIED
        raise BangerError(
            code, f"cannot work in {parent}: {error.strerror}", hint=f"check: ls -ld {parent}; df"
        ) from error


def _lock(path: Path) -> int | None:
    """Lock a new directory. None when a sweep at the same moment has removed it."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not path.is_dir():
        os.close(lock)
        return None
    return lock


def _sweep_one(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # gone, a symbolic link, or another user's
        return False
    try:
        if os.fstat(lock).st_uid != os.geteuid():
            return False
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_tree(path)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
