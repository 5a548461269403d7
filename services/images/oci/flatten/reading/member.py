"""A member of a layer's archive, as far as the image depends on it."""

from dataclasses import dataclass
from enum import Enum, auto

Xattrs = tuple[tuple[bytes, bytes], ...]
Extents = tuple[tuple[int, int], ...]
"""(offset, length) of the data of a sparse file, ascending; holes are between them."""


class MemberKind(Enum):
    """What a member is. tar(5) has more types; they are refused."""

    FILE = auto()
    DIRECTORY = auto()
    SYMLINK = auto()
    HARD_LINK = auto()
    FIFO = auto()
    CHARACTER_DEVICE = auto()
    BLOCK_DEVICE = auto()


@dataclass(slots=True)
class LayerMember:
    """One member. Names are bytes: an image may have been made in any encoding."""

    path: tuple[bytes, ...]
    """The components, none of them "", "." or ".."; empty for the root directory."""
    kind: MemberKind
    mode: int
    """The permission bits, 07777."""
    uid: int
    gid: int
    mtime: int
    """Whole seconds, within what squashfs can say: 0 to 2^32-1."""
    size: int = 0
    """Bytes of a file as it is read, holes included."""
    offset: int = 0
    """Where its data begins in the uncompressed layer."""
    stored: int = 0
    """Bytes of data: ``size`` without the holes."""
    extents: Extents | None = None
    """For a sparse file."""
    target: bytes = b""
    """Of a symbolic link as it is, of a hard link a path in the image."""
    device: tuple[int, int] = (0, 0)
    """Major and minor number."""
    xattrs: Xattrs = ()
