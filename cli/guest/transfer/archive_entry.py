"""One file on its way between two trees, whichever side each of them is on."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

CHUNK = 1 << 18
"""Bytes of a file's content that are in memory at a time."""
DEEPEST = 256
"""Components of a path. Each is an open directory while its content is written."""


class EntryKind(StrEnum):
    """What is copied. ``SPECIAL`` is a device, a pipe or a socket: it is named, and left out."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    HARD_LINK = "hard link"
    SPECIAL = "special"


@dataclass(frozen=True)
class TreeEntry:
    """A file, directory or link, below the source that it belongs to."""

    kind: EntryKind
    path: tuple[str, ...]
    """Components below the source; empty for the source itself. None is ".", ".." or empty."""
    mode: int = 0o600
    """Permission bits; without set-user-id and set-group-id, because the owner changes."""
    mtime: int = 0
    """Nanoseconds since the epoch."""
    size: int = 0
    """Bytes of a file, holes counted."""
    link: str = ""
    """Where a symbolic link leads, as it is written in it."""
    original: tuple[str, ...] = ()
    """Components below the source of the file that a hard link is another name of."""
    segments: tuple[tuple[int, int], ...] = ()
    """(offset, length) of the parts of a file that are no holes, in order."""
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    """Extended attributes, of the namespace user only."""
    content: Callable[[], Iterator[bytes]] = lambda: iter(())
    """The bytes of ``segments``, one after the other, in chunks of at most ``CHUNK``."""


def kept_mode(mode: int, *, directory: bool) -> int:
    """The permission bits that a copy has: the sticky bit only stays on directories."""
    return mode & (0o1777 if directory else 0o777)
