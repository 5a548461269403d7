"""Manifests as they go over the bus."""

from collections.abc import Iterable
from pathlib import Path

from services.images.library.library import Damaged
from services.images.library.manifest import ImageManifest, KernelManifest
from services.images.library.stack import real_bytes
from shared.bus.paging import cut
from shared.contract.messages.image import (
    Available,
    Broken,
    Image,
    ImageList,
    Kernel,
    KernelList,
)

Item = Image | Kernel | Available | Broken


def image_view(entry: ImageManifest, path: Path, names: Iterable[str] = ()) -> Image:
    """``names``: those that it has now. The one it was made under may be another image's since."""
    current = sorted(names)
    return Image(
        id=entry.id,
        name=entry.name if entry.name in current or not current else current[0],
        arch=entry.arch,
        created=entry.created,
        source=entry.source,
        size=entry.rootfs.size,
        path=str(path),
        format=entry.rootfs.format,
        rootfs=entry.rootfs.file,
        digest=entry.digest,
        names=current,
        config=entry.config,
        base=entry.base,
        origin=entry.origin,
        kernel=entry.kernel,
        external=entry.external,
        real_bytes=real_bytes(path),
        seed_bytes=entry.seed.size if entry.seed else 0,
    )


def kernel_view(entry: KernelManifest, path: Path) -> Kernel:
    return Kernel(
        id=entry.id,
        name=entry.name,
        version=entry.version,
        arch=entry.arch,
        created=entry.created,
        source=entry.source,
        size=sum(file.size for file in entry.files.values()),
        path=str(path),
    )


def image_list(
    images: Iterable[Image], available: Iterable[Available], broken: Iterable[Broken], after: str
) -> ImageList:
    """The page after the cursor ``after``."""
    items, cursor = cut(_in_order(images, available, broken), after)
    return ImageList(
        images=[each for each in items if isinstance(each, Image)],
        available=[each for each in items if isinstance(each, Available)],
        broken=[each for each in items if isinstance(each, Broken)],
        next=cursor,
    )


def kernel_list(
    kernels: Iterable[Kernel], available: Iterable[Available], broken: Iterable[Broken], after: str
) -> KernelList:
    """The page after the cursor ``after``."""
    items, cursor = cut(_in_order(kernels, available, broken), after)
    return KernelList(
        kernels=[each for each in items if isinstance(each, Kernel)],
        available=[each for each in items if isinstance(each, Available)],
        broken=[each for each in items if isinstance(each, Broken)],
        next=cursor,
    )


def _in_order(
    entries: Iterable[Image] | Iterable[Kernel],
    available: Iterable[Available],
    broken: Iterable[Broken],
) -> list[tuple[str, Item]]:
    """Oldest first, then what is offered, then what is damaged, each with the key of its place."""
    return [
        *((f"0 {each.created} {each.id}", each) for each in entries),
        *((f"1 {each.name}", each) for each in available),
        *((f"2 {each.path}", each) for each in broken),
    ]


def broken_view(damaged: Iterable[Damaged]) -> list[Broken]:
    return [Broken(path=str(entry.path), problem=entry.problem) for entry in damaged]
