"""Files of a git directory, of which a repository may have made anything: a FIFO, a directory."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import BangerError, Code
from shared.plain_text import printable


@contextmanager
def open_regular(path: Path) -> Iterator[int]:
    """A descriptor of a regular file, to read; it never waits.

    Raises FileNotFoundError, ``denied`` for what this user may not read, ``invalid`` for what is
    no regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(path) from None
    except OSError as error:
        place = printable(str(path))
        raise BangerError(Code.DENIED, f"cannot read {place}: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BangerError(Code.INVALID, f"{printable(str(path))} is not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def read_start(path: Path, most: int) -> bytes:
    """At most ``most`` bytes of a regular file; raises as ``open_regular`` does."""
    with open_regular(path) as descriptor:
        return os.read(descriptor, most)


def copy_regular(source: Path, target: Path) -> bool:
    """Copy a regular file with its time of change; False where there is none.

    The time is part of an index: git compares it with those of the files, to know which entries
    it cannot trust (racy-git.txt of git's documentation).
    """
    try:
        with (
            open_regular(source) as descriptor,
            open(descriptor, "rb", closefd=False) as opened,
            target.open("wb") as copy,
        ):
            found = os.fstat(descriptor)
            shutil.copyfileobj(opened, copy, 1 << 20)
    except FileNotFoundError:
        return False
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
    return True
