"""The directories of jobs: one each, private, and gone when the job is over.

A directory is locked (flock(2)) by the worker that uses it. So after a crash of the service its
successor knows which workers are still about to end.
"""

import fcntl
import os
import shutil
import time
from pathlib import Path

from shared.errors import BangerError, Code
from shared.host.files import is_full
from shared.host.retry import poll

REMOVAL_SECONDS = 2.0
"""How long what a killed process has just made is removed, too."""


def make_directory(area: Path, name: str) -> Path:
    """A new directory in ``area``.

    Raises:
        BangerError: ``no_space`` or ``denied``.
    """
    path = area / name
    try:
        area.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(mode=0o700)
    except OSError as error:
        code = Code.NO_SPACE if is_full(error) else Code.DENIED
        raise BangerError(
            code,
            f"cannot work in {area}: {error.strerror}",
            hint=f"check: ls -ld {area}; df {area}",
        ) from error
    return path


def remove_directory(path: Path) -> bool:
    """Remove the directory of a job with all that is in it; whether it is gone."""
    limit = time.monotonic() + REMOVAL_SECONDS

    def gone() -> bool:
        shutil.rmtree(path, ignore_errors=True)
        return not path.exists()

    return poll(gone, limit)


def sweep(area: Path, patience: float) -> list[Path]:
    """Remove what jobs of an earlier service have left; returns what was removed.

    Workers that still live are about to end: together they get ``patience`` seconds for it.
    """
    limit = time.monotonic() + patience
    left = sorted(area.iterdir()) if area.is_dir() else []
    for path in left:
        while not _is_free(path) and time.monotonic() < limit:
            time.sleep(0.05)
        remove_directory(path)
    return left


def _is_free(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
