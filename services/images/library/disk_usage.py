"""What images, kernels, downloads and kept steps of builds occupy, and what of it nothing needs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.images.library.library import Library
from services.images.library.manifest import ImageManifest, KernelManifest
from services.images.library.publish import exclusive
from services.images.library.stack import needed_by, real_bytes
from shared.contract.messages.image_work import PRUNED_NAMED, Pruned, PrunedItem, SpaceUsed
from shared.contract.reference import by_id


@dataclass(frozen=True)
class UnusedImage:
    """An image without a name that no VM uses and no image lies on."""

    id: str
    real_bytes: int


def unused_images(library: Library[ImageManifest], used: Iterable[str]) -> list[UnusedImage]:
    """The images that nothing needs. ``used``: ids of those that VMs use."""
    entries, _ = library.entries()
    needed = needed_by(entries, [*used, *library.names().values()])
    return [
        UnusedImage(entry.id, real_bytes(library.path_of(entry)))
        for entry in entries
        if entry.id not in needed
    ]


def prune_images(
    library: Library[ImageManifest], used: Iterable[str], *, dry_run: bool
) -> list[PrunedItem]:
    """Remove the images that nothing needs; return what was, or with ``dry_run`` would be. Those
    that lie on others go first, so that what is left has its base at every moment.

    Raises:
        BangerError: as ``Library.remove``; ``busy`` while an import publishes.
    """
    if dry_run or not library.root.is_dir():
        return [_pruned(each) for each in unused_images(library, used)]
    with exclusive(library.root):
        unused = unused_images(library, used)
        base = {entry.id: entry.base for entry in library.entries()[0]}
        left = {each.id for each in unused}
        while left:
            tops = left - {base[each] for each in left}
            for identifier in sorted(tops):
                library.remove(by_id(identifier))
            left -= tops
        return [_pruned(each) for each in unused]


def _pruned(image: UnusedImage) -> PrunedItem:
    return PrunedItem(kind="image", name=image.id, real_bytes=image.real_bytes)


def pruned(items: Sequence[PrunedItem]) -> Pruned:
    """The answer of ``image.prune``: the largest are named."""
    largest = sorted(items, key=lambda item: (-item.real_bytes, item.kind, item.name))
    return Pruned(
        pruned=largest[:PRUNED_NAMED],
        more=max(0, len(largest) - PRUNED_NAMED),
        real_bytes=sum(item.real_bytes for item in items),
    )


def image_space(library: Library[ImageManifest], used: Iterable[str]) -> SpaceUsed:
    """All images. Each has its own directory: a base that others lie on counts once."""
    entries, damaged = library.entries()
    directories = [*map(library.path_of, entries), *(each.path for each in damaged)]
    return SpaceUsed(
        kind="images",
        count=len(directories),
        real_bytes=sum(map(real_bytes, directories)),
        reclaimable=sum(each.real_bytes for each in unused_images(library, used)),
    )


def kernel_space(library: Library[KernelManifest]) -> SpaceUsed:
    """All kernels."""
    entries, damaged = library.entries()
    directories = [*map(library.path_of, entries), *(each.path for each in damaged)]
    total = sum(map(real_bytes, directories))
    return SpaceUsed(kind="kernels", count=len(directories), real_bytes=total)
