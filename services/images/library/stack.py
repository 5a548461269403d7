"""Images that lie on others: an image of changes needs those below it, down to a whole one."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from services.images.library.library import Library
from services.images.library.manifest import ImageManifest, check_stack
from shared.contract.messages.image import MOST_LAYERS, ImageLayer
from shared.contract.names import few
from shared.contract.reference import by_id
from shared.errors import BangerError, Code

_BLOCK = 512
"""Bytes: the unit of st_blocks (stat(2)), whatever the filesystem's is."""


def stack_of(library: Library[ImageManifest], entry: ImageManifest) -> list[ImageManifest]:
    """``entry``, and the images below it down to a whole one.

    Raises:
        BangerError: ``invalid`` when one of them is missing, is another than it was, or when there
            are too many.
    """
    stack = [entry]
    while stack[-1].base_digest and len(stack) <= MOST_LAYERS:
        try:
            stack.append(library.find(by_id(stack[-1].base)))
        except BangerError as error:
            raise BangerError(
                Code.INVALID,
                f"{entry.name} ({entry.id}) lies on the image {stack[-1].base}: {error.message}",
                hint="pull or import it again",
            ) from error
    check_stack(stack)
    return stack


def needed_by(entries: Iterable[ImageManifest], used: Iterable[str]) -> set[str]:
    """The ids of ``used`` and of all images below them."""
    below = {entry.id: entry.base for entry in entries}
    needed: set[str] = set()
    for identifier in used:
        while identifier and identifier not in needed:
            needed.add(identifier)
            identifier = below.get(identifier, "")
    return needed


def refuse_base(entries: Sequence[ImageManifest], identifier: str) -> None:
    """Raise ``conflict`` when another image lies on the one of this id."""
    if above := [entry.name or entry.id for entry in entries if entry.base == identifier]:
        raise BangerError(
            Code.CONFLICT,
            f"the image {identifier} is the base of {few(above)}",
            hint=f"delete what lies on it: banger image delete {above[0]}",
        )


def layers(library: Library[ImageManifest], stack: Sequence[ImageManifest]) -> list[ImageLayer]:
    """The stack as ``image.show`` has it."""
    return [
        ImageLayer(
            id=entry.id,
            name=entry.name,
            digest=entry.digest,
            size=entry.rootfs.size,
            real_bytes=real_bytes(library.path_of(entry)),
        )
        for entry in stack
    ]


def real_bytes(path: Path) -> int:
    """What a file, or a directory with all that is in it, occupies on the disk. A link counts as
    itself: what it leads to is somebody else's. A file with two names in it counts once."""
    try:
        found = [path, *path.rglob("*")]
    except OSError:
        return 0
    sizes: dict[tuple[int, int], int] = {}
    for each in found:
        try:
            status = each.lstat()
        except OSError:  # gone meanwhile
            continue
        sizes[status.st_dev, status.st_ino] = status.st_blocks * _BLOCK
    return sum(sizes.values())
