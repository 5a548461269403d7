"""Read log files while services still write to them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from shared.errors import BangerError, Code
from shared.log_limit import seek_data

CHUNK = 64 * 1024
INTERVAL = 0.2
"""Seconds between looks at a file that is followed."""
GONE_SECONDS = 2.0
"""How long the name may be missing during a rotation."""


def read(path: Path, *, follow: bool) -> Iterator[bytes]:
    """The file's content; with ``follow`` also what is appended, until interrupted.

    The beginning of a long log may have been freed (shared/log_limit.py): it is skipped, and so is
    what is freed while the file is followed. After a rotation, the old file is read to its end and
    then the new one. A file that was truncated is read from its start. Following ends when the file
    is deleted.

    Raises:
        BangerError: ``not_found`` when the file does not exist.
    """
    try:
        file: BinaryIO = path.open("rb", buffering=0)
    except FileNotFoundError:
        raise BangerError(
            Code.NOT_FOUND, f"{path} does not exist", hint="nothing has been logged yet"
        ) from None
    try:
        yield from _rest(file)
        seen_at = time.monotonic()
        while follow and not _is_gone(path, seen_at):
            time.sleep(INTERVAL)
            newer = _opened_anew(path, file)
            yield from _rest(file)  # including what was appended just before the rotation
            if path.exists():
                seen_at = time.monotonic()
            if newer is not None:
                file.close()
                file = newer
                yield from _rest(file)
        yield from _rest(file)
    finally:
        file.close()


def _rest(file: BinaryIO) -> Iterator[bytes]:
    while True:
        file.seek(seek_data(file.fileno(), file.tell()))
        if not (chunk := file.read(CHUNK)):
            return
        yield chunk


def _is_gone(path: Path, seen_at: float) -> bool:
    """Whether it is deleted and not just rotated; known at once when its directory is deleted."""
    missing = time.monotonic() - seen_at
    return not path.parent.exists() or missing > GONE_SECONDS


def _opened_anew(path: Path, file: BinaryIO) -> BinaryIO | None:
    """The file that has the name now, if that is another one or was truncated; else None."""
    try:
        named: BinaryIO = path.open("rb", buffering=0)
    except FileNotFoundError:
        return None
    old, new = os.fstat(file.fileno()), os.fstat(named.fileno())
    if new.st_ino == old.st_ino and new.st_size >= file.tell():
        named.close()
        return None
    return named


def lines(path: Path, *, follow: bool) -> Iterator[bytes]:
    """Whole lines of the file, without their ends; see ``read``."""
    rest = b""
    for chunk in read(path, follow=follow):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest
