"""Whether what is about to be written fits on the disk: asked before hours of work, not after."""

import os
from pathlib import Path

from shared.errors import BangerError, Code

RESERVE = 64 << 20
"""Bytes that are left alone: the database and the logs have to be written, too."""


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
            f"{what} needs {_mib(needed + RESERVE)} in {path}, {_mib(free, up=False)} is free",
            hint=hint
            or "see what takes it: banger system df; remove downloads: banger image prune",
            details={"path": str(path), "needed": needed + RESERVE, "free": free},
        )


def _mib(count: int, *, up: bool = True) -> str:
    """In MiB, a need rounded up and what is free down, so that the sentence is never absurd."""
    return f"{-(-count // (1 << 20)) if up else count >> 20} MiB"
