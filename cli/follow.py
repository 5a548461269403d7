"""Reading files that others still write to."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from shared.errors import BangerError, Code

CHUNK = 64 * 1024
INTERVAL = 0.2
"""Seconds between looks at a file that is followed."""


def read(path: Path, *, follow: bool) -> Iterator[bytes]:
    """The file's content; with ``follow`` also what is added, until interrupted.

    A file that was rotated away or cut short is begun anew.

    Raises:
        BangerError: ``not_found`` when there is no such file.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise BangerError(
            Code.NOT_FOUND, f"there is no {path}", hint="nothing has been logged there yet"
        ) from None
    try:
        while True:
            while chunk := file.read(CHUNK):
                yield chunk
            if not follow:
                return
            time.sleep(INTERVAL)
            if _replaced(path, file.fileno(), file.tell()):
                file.close()
                file = path.open("rb")
    finally:
        file.close()


def _replaced(path: Path, fd: int, position: int) -> bool:
    try:
        named = path.stat()
    except FileNotFoundError:
        return False  # between the rename and the new file
    return named.st_ino != os.fstat(fd).st_ino or named.st_size < position


def lines(path: Path, *, follow: bool) -> Iterator[bytes]:
    """Whole lines of the file, without their ends; see ``read``."""
    rest = b""
    for chunk in read(path, follow=follow):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest
