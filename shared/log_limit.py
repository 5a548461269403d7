"""A limit for log files that another process holds open and appends to.

Such a file can be neither rotated nor truncated: its writer would go on in the old file, or at the
old offset. Its beginning is freed instead: a hole takes no space, and size and offsets stay as they
are (fallocate(2), FALLOC_FL_PUNCH_HOLE). Readers skip the hole with SEEK_DATA (lseek(2)).
"""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

KEPT = 8 << 20
"""Bytes at the end of a file that are kept."""
SLACK = 1 << 20
"""Bytes beyond ``KEPT`` that a file may take before its beginning is freed."""
_BLOCK = 4096
_PUNCH_HOLE = 0x01 | 0x02
"""FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE of linux/falloc.h."""


def free_beginning(path: Path, kept: int = KEPT) -> bool:
    """Free all but the last ``kept`` bytes if the file takes more than that and ``SLACK``; True
    when that was done. Nothing happens to a file that does not exist.

    Raises:
        OSError: as open(2) and fallocate(2); EOPNOTSUPP on a filesystem without holes.
    """
    try:
        if path.lstat().st_blocks * 512 <= kept + SLACK:
            return False
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        end = (os.fstat(fd).st_size - kept) // _BLOCK * _BLOCK
        if end <= 0:
            return False
        _punch(fd, end)
        return True
    finally:
        os.close(fd)


def _punch(fd: int, end: int) -> None:
    import ctypes  # a megabyte that only a process with a long log pays

    fallocate = ctypes.CDLL(None, use_errno=True).fallocate64
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if fallocate(fd, _PUNCH_HOLE, 0, end) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def keep_end(path: Path, kept: int = KEPT) -> None:
    """Replace a file that no process has open by its last ``kept`` bytes, if it is larger than that
    and ``SLACK``, holes included: a limit of file sizes (RLIMIT_FSIZE) counts offsets.

    Raises:
        OSError: the file cannot be read, or its successor cannot be written.
    """
    try:
        if path.lstat().st_size <= kept + SLACK:
            return
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    with open(fd, "rb") as file:
        file.seek(-kept, os.SEEK_END)
        end = file.read()
    shorter = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        shorter.touch(0o600)
        shorter.write_bytes(end)
        shorter.replace(path)
    finally:
        shorter.unlink(missing_ok=True)


class LogLimit:
    """Frees the beginnings of several files, again and again. What fails is told once a file."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._told: set[Path] = set()

    def apply(self, paths: Iterable[Path]) -> list[str]:
        """Look at the files; returns a sentence for each that could not be freed just now."""
        problems = []
        for path in paths:
            try:
                free_beginning(path, self._kept)
            except OSError as error:
                if path not in self._told:
                    self._told.add(path)
                    problems.append(f"{path} grows without a limit: {_reason(error)}")
        return problems


def _reason(error: OSError) -> str:
    if error.errno == errno.EOPNOTSUPP:
        return "its filesystem has no holes"
    return error.strerror or str(error)


def seek_data(fd: int, offset: int) -> int:
    """The next offset from ``offset`` on that is not in a hole; the end of the file without one."""
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return max(offset, os.lseek(fd, 0, os.SEEK_END))
