"""Images and kernels in memory. It passes the contract tests of the real service."""

import asyncio

from shared.bus.handlers import Call, handles
from shared.contract.messages.image import Image, Kernel, Ref, Resolve
from shared.contract.messages.image_work import (
    Pruned,
    PruneUnused,
    SpaceUsed,
    StorageUsage,
    UsageQuestion,
)
from shared.contract.verbs import images
from shared.errors import BangerError, Code
from tests.fakes.rows import find

IMAGE = Image(
    id="1" * 16, name="debian-bookworm", arch="x86_64", created="", source="", size=1, path="/i"
)
KERNEL = Kernel(
    id="2" * 16,
    name="debian-bookworm",
    version="6.1",
    arch="x86_64",
    created="",
    source="",
    size=1,
    path="/k",
)


class FakeImages:
    """Has the default image and kernel. ``pulling``: a kernel is resolved when this is set."""

    def __init__(self) -> None:
        self.pulling: asyncio.Event | None = None
        self.images = [IMAGE]
        self.kernels = [KERNEL]
        self.used: list[str] = []
        """What the api said of the VMs' images last."""
        self.damaged = False
        """Whether what an image has on the disk cannot be read."""

    @handles(images.IMAGE_SHOW)
    async def show_image(self, request: Ref, _call: Call) -> Image:
        found = find("image", request.ref, self.images)
        if self.damaged:
            raise BangerError(Code.INVALID, "no readable manifest.json", details={"id": found.id})
        return found

    @handles(images.IMAGE_RESOLVE)
    async def resolve_image(self, request: Resolve, _call: Call) -> Image:
        return find("image", request.ref, self.images)

    @handles(images.IMAGE_PRUNE)
    async def prune(self, request: PruneUnused, _call: Call) -> Pruned:
        self.used = request.used
        return Pruned(pruned=[])

    @handles(images.USAGE)
    async def usage(self, request: UsageQuestion, _call: Call) -> StorageUsage:
        self.used = request.used
        return StorageUsage(
            used=[SpaceUsed(kind="images", count=len(self.images), real_bytes=1)],
            path="/i",
            free_bytes=5,
        )

    @handles(images.IMAGE_REMOVE)
    async def remove_image(self, request: Ref, _call: Call) -> None:
        self.images.remove(find("image", request.ref, self.images))

    @handles(images.KERNEL_SHOW)
    async def show_kernel(self, request: Ref, _call: Call) -> Kernel:
        return find("kernel", request.ref, self.kernels)

    @handles(images.KERNEL_RESOLVE)
    async def resolve_kernel(self, request: Resolve, _call: Call) -> Kernel:
        if self.pulling:
            await self.pulling.wait()
        return find("kernel", request.ref, self.kernels)

    @handles(images.KERNEL_REMOVE)
    async def remove_kernel(self, request: Ref, _call: Call) -> None:
        self.kernels.remove(find("kernel", request.ref, self.kernels))
