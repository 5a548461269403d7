"""Bodies of the verbs about images and kernels (service ``images``)."""

from typing import Annotated, Literal

import msgspec

from shared.contract.messages.page import Paged

MOST_ITEMS = 1000
LONGEST_ITEM = 1 << 16
MOST_LAYERS = 8
"""An image and those below it, one drive each."""

Item = Annotated[str, msgspec.Meta(max_length=LONGEST_ITEM)]
Items = Annotated[list[Item], msgspec.Meta(max_length=MOST_ITEMS)]
Pairs = Annotated[dict[Item, Item], msgspec.Meta(max_length=MOST_ITEMS)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^(sha256:[0-9a-f]{64})?$")]
"""Of something's content, or empty where it is not known."""


class ImageConfig(msgspec.Struct, kw_only=True, frozen=True):
    """How the image wants to be run: the ``config`` of the OCI image specification (config.md).

    Its author is not trusted. The texts are as they came; who prints them makes them printable.
    """

    entrypoint: Items = []
    cmd: Items = []
    env: Pairs = {}
    workdir: Item = ""
    user: Item = ""
    """Name or number, ``:`` and a group after it or not; empty for root."""
    exposed: Items = []
    """E.g. "80/tcp"."""
    volumes: Items = []
    labels: Pairs = {}
    stop_signal: Item = ""


OriginKind = Literal["debian", "oci", "archive", "registered", "built", "commit"]


class ImageOrigin(msgspec.Struct, kw_only=True, frozen=True):
    """Where an image comes from. ``digest`` is that of the manifest it was pulled by."""

    kind: OriginKind
    reference: str = ""
    digest: Digest = ""


class ImageLayer(msgspec.Struct, kw_only=True, frozen=True):
    """One image of a stack, as ``image.show`` lists them. ``real_bytes``: what it occupies."""

    id: str
    name: str
    digest: Digest
    size: int
    real_bytes: int


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
    digest: Digest = ""
    """Of all that it is: its root filesystem, what lies below, its config. What is trusted is
    compared by it, never by the id."""
    names: list[str] = []
    """All of them, ``name`` too."""
    config: ImageConfig | None = None
    base: str = ""
    """The id of the image below, of which this one holds only the changes."""
    origin: ImageOrigin | None = None
    kernel: str = ""
    """The name of the kernel that it wants; empty: the default one."""
    external: str = ""
    """The path of a registered root filesystem that was not copied."""
    real_bytes: int = 0
    """What its own directory occupies on the disk, without the images below."""
    seed_bytes: int = 0
    """The size of its work seed, 0 for none."""
    layers: list[ImageLayer] = []
    """Only from ``image.show``: the image itself, then those below it, topmost first."""
    users: list[str] = []
    """Only from the api's ``image.show``: the names of the VMs that use it."""


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
    auth_file: str = ""
    """As of ``ImagePull``."""


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
