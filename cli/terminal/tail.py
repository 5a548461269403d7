"""Reading files that others still write to."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from shared.errors import BangerError, Code

CHUNK = 64 * 1024
INTERVAL = 0.2
"""Seconds between looks at a file that is followed."""
GONE_SECONDS = 2.0
"""How long a file may have no name, between its rotation and its successor."""


def read(path: Path, *, follow: bool) -> Iterator[bytes]:
    """The file's content; with ``follow`` also what is added, until interrupted.

    A file that was rotated away is read to its end, and the new one or one that was cut short is
    begun anew. Following ends when there is no such file any more.

    Raises:
        BangerError: ``not_found`` when there is no such file to begin with.
    """
    try:
        file: BinaryIO = path.open("rb")
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
            yield from _rest(file)  # also what came between our last look and its rotation
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
    while chunk := file.read(CHUNK):
        yield chunk


def _is_gone(path: Path, seen_at: float) -> bool:
    """Not only renamed a moment ago; at once when the directory has gone with it."""
    missing = time.monotonic() - seen_at
    return not path.parent.exists() or missing > GONE_SECONDS


def _opened_anew(path: Path, file: BinaryIO) -> BinaryIO | None:
    """What has the name now, from its beginning; None when that is still ``file``, or nothing."""
    try:
        named = path.open("rb")
    except FileNotFoundError:
        return None
    ours, theirs = os.fstat(file.fileno()), os.fstat(named.fileno())
    if theirs.st_ino == ours.st_ino and theirs.st_size >= file.tell():
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
