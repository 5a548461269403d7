"""The service ``images``: its verbs. How images and kernels are made is in ``sources``.

The disk is the only state: every call looks up what is published. Work on the disk is done in
threads, so that pings and cancels are answered meanwhile.
"""

import asyncio
from typing import Any

from services.images.context import ImagesContext
from services.images.library.manifest import ImageManifest, KernelManifest
from services.images.library.scratch import build_area, sweep
from services.images.library.shown import (
    all_images,
    find_image,
    image_with_layers,
    remove_image,
    view_of,
)
from services.images.library.views import (
    broken_view,
    image_list,
    kernel_list,
    kernel_view,
)
from services.images.sources.contract import Recipe
from services.images.verbs.archives import ArchiveVerbs
from services.images.verbs.building import BuildVerbs
from services.images.verbs.capture import CaptureVerbs
from services.images.verbs.pulling import PullVerbs
from services.images.verbs.storage import StorageVerbs
from shared.bus.actor import Actor
from shared.bus.handlers import Call, handles
from shared.bus.runner import own
from shared.config import Config
from shared.contract.messages.image import (
    Image,
    ImageBuild,
    ImageList,
    Kernel,
    KernelList,
    KernelPull,
    Ref,
    Resolve,
)
from shared.contract.messages.page import After
from shared.contract.verbs import images
from shared.logs import Log
from shared.paths import Paths
from shared.workers.area import sweep as sweep_jobs

GROUPS = (PullVerbs, ArchiveVerbs, StorageVerbs, CaptureVerbs, BuildVerbs)
"""What answers the other verbs, each made of the context."""


SWEEP_SECONDS = 2.0
"""For workers of an earlier service, which end with it."""


class ImagesService(Actor):
    def __init__(self, paths: Paths, log: Log, config: Config) -> None:
        super().__init__("images", paths, log)
        context = self._context = ImagesContext(paths, log, config)
        self._images, self._image_catalogue = context.images, context.image_catalogue
        self._jobs = context.jobs
        self._kernels, self._kernel_catalogue = context.kernels, context.kernel_catalogue
        groups = [group(context) for group in GROUPS]
        self._pulling = next(each for each in groups if isinstance(each, PullVerbs))
        self.serve(*groups)

    async def on_start(self) -> None:
        self._lock = await own(self.paths.lock("images"))
        await asyncio.to_thread(sweep_jobs, self.paths.image_jobs, SWEEP_SECONDS)
        libraries = self._images.library.root, self._kernels.library.root
        for area in (*libraries, self.paths.builds, build_area()):
            for path in await asyncio.to_thread(sweep, area):
                self.log.warning("removed the remains of a crashed build", path=str(path))

    def status(self) -> dict[str, Any]:
        busy = {"building": self._images.busy, "pulling": self._kernels.busy}
        return {**busy, "jobs": self._jobs.running}

    @handles(images.IMAGE_LIST)
    async def image_list(self, request: After, _call: Call) -> ImageList:
        library = self._images.library
        views, damaged = await asyncio.to_thread(all_images, library)
        offers, broken = self._image_catalogue.available(), broken_view(damaged)
        return image_list(views, offers, broken, request.after)

    @handles(images.IMAGE_SHOW)
    async def image_show(self, request: Ref, _call: Call) -> Image:
        return await asyncio.to_thread(image_with_layers, self._images.library, request.ref)

    @handles(images.IMAGE_RESOLVE)
    async def image_resolve(self, request: Resolve, call: Call) -> Image:
        """An exact name of the catalogue comes before a prefix of something else."""
        recipe = self._image_catalogue.find(request.ref) if request.fetch else None
        if recipe:
            return await self._build(recipe, call)
        pulled = await self._pulling.resolve(request, call) if request.fetch else None
        return pulled or await self._find_image(request.ref)

    @handles(images.IMAGE_BUILD)
    async def image_build(self, request: ImageBuild, call: Call) -> Image:
        if request.as_name or request.include:
            recipe = self._image_catalogue.extended(request.name, request.as_name, request.include)
        else:
            recipe = self._image_catalogue.get(request.name)
        return await self._build(recipe, call, force=request.force, renew=True)

    @handles(images.IMAGE_REMOVE)
    async def image_remove(self, request: Ref, _call: Call) -> None:
        await asyncio.to_thread(remove_image, self._images.library, request.ref)

    @handles(images.KERNEL_LIST)
    async def kernel_list(self, request: After, _call: Call) -> KernelList:
        library = self._kernels.library
        entries, damaged = await asyncio.to_thread(library.entries)
        views = [kernel_view(entry, library.path_of(entry)) for entry in entries]
        offers, broken = self._kernel_catalogue.available(), broken_view(damaged)
        return kernel_list(views, offers, broken, request.after)

    @handles(images.KERNEL_SHOW)
    async def kernel_show(self, request: Ref, _call: Call) -> Kernel:
        return await self._find_kernel(request.ref)

    @handles(images.KERNEL_RESOLVE)
    async def kernel_resolve(self, request: Resolve, call: Call) -> Kernel:
        """An exact name of the catalogue comes before a prefix of something else."""
        recipe = self._kernel_catalogue.find(request.ref) if request.fetch else None
        return await (self._pull(recipe, call) if recipe else self._find_kernel(request.ref))

    @handles(images.KERNEL_PULL)
    async def kernel_pull(self, request: KernelPull, call: Call) -> Kernel:
        recipe = self._kernel_catalogue.get(request.name)
        return await self._pull(recipe, call, force=request.force, renew=True)

    @handles(images.KERNEL_REMOVE)
    async def kernel_remove(self, request: Ref, _call: Call) -> None:
        await asyncio.to_thread(self._kernels.library.remove, request.ref)

    async def _find_image(self, reference: str) -> Image:
        return await asyncio.to_thread(find_image, self._images.library, reference)

    async def _build(
        self,
        recipe: Recipe[ImageManifest],
        call: Call,
        *,
        force: bool = False,
        renew: bool = False,
    ) -> Image:
        made = await self._context.catalogue_entry(
            self._images, recipe, call, force=force, renew=renew
        )
        recipe.check_result("image", made.source)
        return await asyncio.to_thread(view_of, self._images.library, made)

    async def _find_kernel(self, reference: str) -> Kernel:
        library = self._kernels.library
        found = await asyncio.to_thread(library.find, reference)
        return kernel_view(found, library.path_of(found))

    async def _pull(
        self,
        recipe: Recipe[KernelManifest],
        call: Call,
        *,
        force: bool = False,
        renew: bool = False,
    ) -> Kernel:
        made = await self._context.catalogue_entry(
            self._kernels, recipe, call, force=force, renew=renew
        )
        return kernel_view(made, self._kernels.library.path_of(made))
