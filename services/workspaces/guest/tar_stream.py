"""Files as a tar stream, whose length is known before its first byte.

GNU's format: both GNU tar and busybox read its long names, names that are no UTF-8, and sizes above
8 GiB ("Basic Tar Format" and "GNU tar and POSIX tar" in GNU tar's manual).
"""

import os
import tarfile
from dataclasses import dataclass

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
_LONGEST_NAME = 100
"""Bytes of a name in a header; a longer one has a header and blocks of its own."""


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """A file of an archive; a directory if ``path`` ends with a slash; a symlink with ``link``.

    ``data`` is the content of a file that is at hand; None for one that the caller streams.
    """

    path: bytes
    mode: int = 0o644
    size: int = 0
    link: bytes = b""
    data: bytes | None = None


def content(path: bytes, data: bytes, mode: int = 0o644) -> ArchiveMember:
    """A file that is at hand."""
    return ArchiveMember(path, mode, len(data), data=data)


def header(member: ArchiveMember) -> bytes:
    """What precedes the content."""
    info = tarfile.TarInfo(os.fsdecode(member.path.rstrip(b"/")))
    info.mode = member.mode
    info.size = member.size
    if member.path.endswith(b"/"):
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    elif member.link:
        info.type, info.linkname = tarfile.SYMTYPE, os.fsdecode(member.link)
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def padding(size: int) -> bytes:
    """What follows a content of ``size`` bytes."""
    return bytes(-size % BLOCK)


def stored_length(member: ArchiveMember) -> int:
    """Bytes of the member in an archive, header and padding included."""
    name = member.path.rstrip(b"/") + (b"/" if member.path.endswith(b"/") else b"")
    long_fields = [field for field in (name, member.link) if len(field) > _LONGEST_NAME]
    extra = sum(BLOCK + len(field) + 1 + -(len(field) + 1) % BLOCK for field in long_fields)
    return extra + BLOCK + member.size + -member.size % BLOCK
