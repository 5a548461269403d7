"""What a layer may cost, and how a damaged or hostile one is refused."""

from dataclasses import dataclass

from shared.errors import BangerError, Code
from shared.plain_text import printable

NAME_BYTES = 255
"""Of one component of a path: NAME_MAX of Linux, and one less than squashfs has."""
PATH_BYTES = 4096
"""Of a path, and of the target of a link: PATH_MAX of Linux."""
EXTENSION_BYTES = 1 << 20
"""Of an extended header, which holds long names and extended attributes."""
XATTR_BYTES = 1 << 16
"""Of the value of an extended attribute: XATTR_SIZE_MAX of Linux."""
OWNERS = 65_535
"""Different user and group ids, which squashfs keeps in a table of this size."""
LINKS_FOLLOWED = 255
"""Symbolic links in the directories of one path."""
SHOWN = 120
"""Characters of a name in a message."""


@dataclass(frozen=True)
class FlattenLimits:
    """Of one image, all layers together."""

    entries: int = 2_000_000
    """Members of the archives, extended headers counted."""
    metadata_bytes: int = 512 << 20
    """Names, link targets, extended attributes and maps of sparse files."""
    total_bytes: int = 64 << 30
    """Uncompressed layers, and contents with the holes of sparse files."""


def show(name: bytes) -> str:
    """A name out of an archive, for a message."""
    return printable(name.decode(errors="surrogateescape"), SHOWN)


class DamagedLayer(BangerError):
    """The layer is no archive that can be read, or not the one that was announced. ``what`` is
    wrong with it, for a caller that reads something else than a layer."""

    def __init__(self, what: str) -> None:
        super().__init__(Code.INVALID, f"the layer is damaged: {what}", hint="pull the image again")
        self.what = what


def damaged(what: str) -> DamagedLayer:
    return DamagedLayer(what)


def refused(what: str) -> BangerError:
    """The layer asks for something that no image may."""
    return BangerError(
        Code.INVALID,
        f"the layer is refused: {what}",
        hint="docs/images.md says what a layer may ask for",
    )


def too_large(what: str) -> BangerError:
    return BangerError(
        Code.TOO_LARGE, f"the image is too large: {what}", hint="docs/images.md states the limits"
    )
