"""Bodies of the verbs about images and kernels (service ``images``)."""

from typing import Literal

import msgspec

from shared.contract.messages.page import Paged


class Image(msgspec.Struct, kw_only=True):
    """A published image. ``path`` is its directory, ``size`` its root filesystem's in bytes."""

    id: str
    name: str
    arch: str
    created: str
    source: str
    size: int
    path: str
    format: Literal["squashfs", "ext4"] = "squashfs"
    rootfs: str = "rootfs.squashfs"


class Kernel(msgspec.Struct, kw_only=True):
    """A published kernel. ``version`` is its ``uname -r``."""

    id: str
    name: str
    version: str
    arch: str
    created: str
    source: str
    size: int
    path: str


class Ref(msgspec.Struct, kw_only=True):
    """A reference, as ``shared.contract.reference`` reads it."""

    ref: str


class Resolve(msgspec.Struct, kw_only=True):
    """``image.resolve`` and ``kernel.resolve``: with ``fetch``, build or pull what the catalogue
    offers and this machine does not have yet."""

    ref: str
    fetch: bool = True


class ImageBuild(msgspec.Struct, kw_only=True):
    """``image.build``: build a catalogue image. ``force`` builds it even when it is there.

    ``include`` are further packages of the distribution; such an image is called ``as_name``.
    """

    name: str
    force: bool = False
    as_name: str = ""
    include: list[str] = []


class KernelPull(msgspec.Struct, kw_only=True):
    """``kernel.pull``: fetch a catalogue kernel."""

    name: str
    force: bool = False


class Available(msgspec.Struct, kw_only=True):
    """One entry of the built-in catalogue."""

    name: str
    description: str


class Broken(msgspec.Struct, kw_only=True):
    """A directory that could not be read; it never breaks the list."""

    path: str
    problem: str


class ImageList(Paged, kw_only=True):
    images: list[Image]
    available: list[Available]
    broken: list[Broken]


class KernelList(Paged, kw_only=True):
    kernels: list[Kernel]
    available: list[Available]
    broken: list[Broken]


class Deleted(msgspec.Struct, kw_only=True):
    """An image or a kernel that is gone."""

    id: str
    name: str
