"""Sparse files: copied, measured and summed without reading or writing their holes.

A filesystem that can share blocks between files does (ioctl_ficlone(2)); else data is copied extent
by extent (lseek(2), SEEK_DATA and SEEK_HOLE) inside the kernel (copy_file_range(2)).
"""

import errno
import fcntl
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

_FICLONE = 0x40049409
"""_IOW(0x94, 9, int) of linux/fs.h."""
_CHUNK = 1 << 16
_ZEROS = bytes(_CHUNK)
_PIECE = 1 << 30
"""What copy_file_range is asked for at once."""


def copy_sparse(source: Path, target: Path) -> Literal["reflink", "sparse"]:
    """Copy a file to ``target``, which is made with mode 0600, or replaced; holes stay holes.

    Nothing is flushed to the disk.

    Raises:
        OSError: as the calls named above; the target holds a part then.
    """
    with source.open("rb") as reading:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with open(os.open(target, flags, 0o600), "wb") as writing:
            if _share_blocks(reading.fileno(), writing.fileno()):
                return "reflink"
            _copy_extents(reading.fileno(), writing.fileno())
            return "sparse"


def extents(fd: int) -> Iterator[tuple[int, int]]:
    """(start, end) of each run of data in an open file."""
    end = 0
    while True:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here on
                return
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end


def content_sum(path: Path) -> int:
    """A CRC-32 of all that is not zero, with its place: the same for a copy whose holes lie
    elsewhere. About a second per GiB of data."""
    total = 0
    with path.open("rb", buffering=0) as file:
        done = 0
        for start, end in extents(file.fileno()):
            place = max(done, start - start % _CHUNK)
            while place < end:
                chunk = os.pread(file.fileno(), _CHUNK, place)
                if chunk != _ZEROS[: len(chunk)]:
                    total = zlib.crc32(chunk, zlib.crc32(place.to_bytes(8, "little"), total))
                place += _CHUNK
            done = place
    return total


def _share_blocks(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in (
            errno.EOPNOTSUPP,
            errno.ENOTTY,
            errno.EXDEV,
            errno.EINVAL,
            errno.EPERM,
            errno.ENOSYS,
        ):
            return False
        raise
    return True


def _copy_extents(source: int, target: int) -> None:
    os.ftruncate(target, os.fstat(source).st_size)
    for start, end in extents(source):
        place = start
        while place < end:
            count = min(_PIECE, end - place)
            copied = _copy_range(source, target, place, count)
            if copied == 0:  # the file has become shorter
                return
            place += copied


def _copy_range(source: int, target: int, place: int, count: int) -> int:
    try:
        return os.copy_file_range(source, target, count, place, place)
    except OSError as error:
        # Between two filesystems the kernel refuses, as from memory to a disk; some always do.
        if error.errno not in (errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
    os.lseek(target, place, os.SEEK_SET)
    return os.sendfile(target, source, place, count)
