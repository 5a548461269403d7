"""Manifests as they go over the bus."""

from collections.abc import Iterable
from pathlib import Path

from services.images.library.library import Damaged
from services.images.library.manifest import ImageManifest, KernelManifest
from shared.contract.messages.image import Broken, Image, Kernel


def image_view(entry: ImageManifest, path: Path) -> Image:
    return Image(
        id=entry.id,
        name=entry.name,
        arch=entry.arch,
        created=entry.created,
        source=entry.source,
        size=entry.rootfs.size,
        path=str(path),
        format=entry.rootfs.format,
        rootfs=entry.rootfs.file,
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


def broken_view(damaged: Iterable[Damaged]) -> list[Broken]:
    return [Broken(path=str(entry.path), problem=entry.problem) for entry in damaged]
