"""What is in an archive of ``image export``: docs/images.md.

A tar, compressed by zstd. Its first member, ``banger-image.json``, holds the manifests of the image
and of those below it, the lowest first. The files follow as ``ID/FILE``, in the order of the
manifests, each with the size and the SHA-256 that its manifest states. There is nothing else.
"""

import tarfile
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from services.images.library.describe import ARCH
from services.images.library.entry_name import check_entry_name
from services.images.library.library import PUBLISHED
from services.images.library.manifest import FileSum, ImageManifest, check_stack
from shared.errors import BangerError, Code
from shared.plain_text import printable

HEAD = "banger-image.json"
FORMAT = 1
LONGEST_HEAD = 4 << 20
"""Bytes of the first member."""
BLOCK = tarfile.BLOCKSIZE
_LARGEST = 1 << 60
_SHOWN = 200


class ArchiveHead(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The first member."""

    format: int
    images: list[ImageManifest]


class PackedFile(NamedTuple):
    """One file of the archive."""

    image: ImageManifest
    file: str
    sum: FileSum

    @property
    def name(self) -> str:
        return f"{self.image.id}/{self.file}"


def members_of(head: ArchiveHead) -> Iterator[PackedFile]:
    """The files in the order in which they are in the archive."""
    for image in head.images:
        for file, total in image.sums().items():
            yield PackedFile(image, file, total)


def encode_head(head: ArchiveHead) -> bytes:
    """Raises ``too_large`` for what no reader would take."""
    content = msgspec.json.encode(head)
    if len(content) > LONGEST_HEAD:
        raise BangerError(Code.TOO_LARGE, "the image's config is too large for an archive")
    return content


def decode_head(content: bytes) -> ArchiveHead:
    """The first member, held to all that a published image has to be.

    Raises:
        BangerError: ``invalid``.
    """
    try:
        head = msgspec.json.decode(content, type=ArchiveHead)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise damaged(f"{HEAD} is not valid: {printable(str(error), _SHOWN)}") from error
    if head.format != FORMAT:
        raise BangerError(
            Code.INVALID,
            f"the archive has the format {head.format}, which this banger does not know",
            hint="import it with the version that has written it, or with a newer one",
        )
    if not head.images:
        raise damaged("it holds no image")
    for image in head.images:
        _check(image)
    check_stack(list(reversed(head.images)))
    return head


def _check(image: ImageManifest) -> None:
    if image.id != image.content_id():
        raise damaged(f"{printable(image.id, 64)} is not the id of what its manifest describes")
    if image.external or image.arch != ARCH:
        raise damaged(f"{image.id} is of another machine")
    if image.name:
        check_entry_name(image.name)
    for file, total in image.sums().items():
        if file not in PUBLISHED["image"]:
            raise damaged(f"{printable(file, 64)!r} is no file of an image")
        if not 0 <= total.size <= _LARGEST:
            raise damaged(f"{file} has a size of {total.size}")
    count = 1 + (image.seed is not None)
    if len(image.sums()) != count:
        raise damaged(f"two files of {image.id} have one name")


def damaged(what: str) -> BangerError:
    """The archive cannot be read, or does not hold what it says."""
    return BangerError(
        Code.INVALID, f"the archive is damaged: {what}", hint="export or copy it again"
    )


def foreign(what: str) -> BangerError:
    """Something else has written it."""
    return BangerError(
        Code.INVALID,
        f"{what} was not written by banger image export or docker save",
        hint="to use a root filesystem: banger image register NAME --rootfs FILE",
    )
