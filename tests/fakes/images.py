"""Images and kernels in memory. It passes the contract tests of the real service."""

import asyncio

from shared.bus.handlers import Call, handles
from shared.contract.messages.build import (
    BuildBase,
    BuildKeep,
    BuildPlan,
    BuildQuestion,
    BuildRun,
    BuildStep,
    DisksPlaced,
)
from shared.contract.messages.image import Image, ImageConfig, Kernel, Ref, Resolve
from shared.contract.messages.image_work import (
    ImageCapture,
    ImageFileBuild,
    ImageTag,
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


STEPS = [
    BuildStep(kind="packages", line=2, text="packages: git", argv=["git"]),
    BuildStep(kind="copy", line=3, text="COPY a /a", sources=["a"], destination="/a"),
    BuildStep(kind="run", line=4, text="RUN make", argv=["make"]),
]
"""What every build does here."""


class FakeBuilds:
    """Builds whose steps do nothing. ``held``: a step is done when this is set; ``failing``: the
    line of a step that fails."""

    def __init__(self) -> None:
        self.plan = BuildPlan(
            steps=STEPS, keys=[f"{n:064x}" for n in (1, 2, 3)], key="f" * 64, config=ImageConfig()
        )
        self.held: asyncio.Event | None = None
        self.failing = 0
        self.has_kept = True
        self.ran: list[int] = []
        self.kept: list[str] = []
        self.captured: list[ImageCapture] = []

    @handles(images.BUILD_BASE)
    async def base(self, _request: ImageFileBuild, _call: Call) -> BuildBase:
        return BuildBase(reference="debian-bookworm")

    @handles(images.BUILD_PLAN)
    async def plan_build(self, _request: BuildQuestion, _call: Call) -> BuildPlan:
        return self.plan

    @handles(images.BUILD_RUN)
    async def run(self, request: BuildRun, _call: Call) -> None:
        self.ran.append(request.step.line)
        if self.held:
            await self.held.wait()
        if request.step.line == self.failing:
            raise BangerError(Code.GUEST_FAILED, "it failed")

    @handles(images.BUILD_KEEP)
    async def keep(self, request: BuildKeep, _call: Call) -> None:
        self.kept.append(request.key)

    @handles(images.BUILD_DISKS)
    async def disks(self, _request: BuildKeep, _call: Call) -> DisksPlaced:
        return DisksPlaced(found=self.has_kept)

    @handles(images.IMAGE_CAPTURE)
    async def capture(self, request: ImageCapture, _call: Call) -> Image:
        self.captured.append(request)
        return _named(request.name)

    @handles(images.IMAGE_TAG)
    async def tag(self, request: ImageTag, _call: Call) -> Image:
        return _named(request.name)


def _named(name: str) -> Image:
    return Image(id="3" * 16, name=name, arch="x86_64", created="", source="", size=1, path="/n")


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
