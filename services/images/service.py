"""The actor ``images``: its verbs, and nothing of how an image is made.

The disk is the only state: what is published is looked up at every call. Disk work goes to
threads, so that pings and cancels are answered meanwhile.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from services.images.library.library import Library
from services.images.library.manifest import ImageManifest, KernelManifest
from services.images.library.on_demand import Shop
from services.images.library.scratch import Scratch, build_area, sweep
from services.images.library.views import available_view, broken_view, image_view, kernel_view
from services.images.sources.debian.build import build_image
from services.images.sources.debian.catalogue import (
    IMAGES,
    KERNELS,
    ImageRecipe,
    KernelRecipe,
    image_recipe,
    kernel_recipe,
    outdated,
)
from services.images.sources.debian.extension import check_made, extended
from services.images.sources.debian.kernel import pull_kernel
from services.images.sources.debian.progress import Progress
from shared.bus.actor import Actor
from shared.bus.handlers import Call, handles
from shared.bus.runner import own
from shared.config import Config
from shared.contract.messages.image import (
    Deleted,
    Image,
    ImageBuild,
    ImageList,
    Kernel,
    KernelList,
    KernelPull,
    Ref,
    Resolve,
)
from shared.contract.messages.vm import Empty
from shared.contract.verbs import images
from shared.errors import BangerError
from shared.logs import Log
from shared.paths import Paths


class ImagesService(Actor):
    def __init__(self, paths: Paths, log: Log, config: Config) -> None:
        super().__init__("images", paths, log)
        self._mirror = config.mirror
        self._images = Shop(Library(paths.images, ImageManifest, "image"))
        self._kernels = Shop(Library(paths.kernels, KernelManifest, "kernel"))

    async def on_start(self) -> None:
        self._lock = await own(self.paths.run / "images.lock")
        for area in (self._images.library.root, self._kernels.library.root, build_area()):
            for path in await asyncio.to_thread(sweep, area):
                self.log.warning("removed what a crashed build left", path=str(path))

    def status(self) -> dict[str, list[str]]:
        return {"building": self._images.busy, "pulling": self._kernels.busy}

    @handles(images.IMAGE_LIST)
    async def image_list(self, _request: Empty, _call: Call) -> ImageList:
        library = self._images.library
        entries, damaged = await asyncio.to_thread(library.entries)
        return ImageList(
            images=[image_view(entry, library.path_of(entry)) for entry in entries],
            available=available_view(IMAGES),
            broken=broken_view(damaged),
        )

    @handles(images.IMAGE_SHOW)
    async def image_show(self, request: Ref, _call: Call) -> Image:
        return await self._find_image(request.ref)

    @handles(images.IMAGE_RESOLVE)
    async def image_resolve(self, request: Resolve, call: Call) -> Image:
        """An exact name of the catalogue comes before a prefix of something else."""
        if request.fetch and request.ref in IMAGES:
            return await self._build(IMAGES[request.ref], call)
        return await self._find_image(request.ref)

    @handles(images.IMAGE_BUILD)
    async def image_build(self, request: ImageBuild, call: Call) -> Image:
        recipe = image_recipe(request.name)
        if request.as_name or request.include:
            recipe = extended(recipe, request.as_name, request.include)
        force = request.force or await asyncio.to_thread(self._outdated, recipe)
        return await self._build(recipe, call, force=force)

    @handles(images.IMAGE_REMOVE)
    async def image_remove(self, request: Ref, _call: Call) -> Deleted:
        return Deleted(id=await asyncio.to_thread(self._images.library.remove, request.ref))

    @handles(images.KERNEL_LIST)
    async def kernel_list(self, _request: Empty, _call: Call) -> KernelList:
        library = self._kernels.library
        entries, damaged = await asyncio.to_thread(library.entries)
        return KernelList(
            kernels=[kernel_view(entry, library.path_of(entry)) for entry in entries],
            available=available_view(KERNELS),
            broken=broken_view(damaged),
        )

    @handles(images.KERNEL_SHOW)
    async def kernel_show(self, request: Ref, _call: Call) -> Kernel:
        return await self._find_kernel(request.ref)

    @handles(images.KERNEL_RESOLVE)
    async def kernel_resolve(self, request: Resolve, call: Call) -> Kernel:
        """An exact name of the catalogue comes before a prefix of something else."""
        if request.fetch and request.ref in KERNELS:
            return await self._pull(KERNELS[request.ref], call)
        return await self._find_kernel(request.ref)

    @handles(images.KERNEL_PULL)
    async def kernel_pull(self, request: KernelPull, call: Call) -> Kernel:
        return await self._pull(kernel_recipe(request.name), call, force=request.force)

    @handles(images.KERNEL_REMOVE)
    async def kernel_remove(self, request: Ref, _call: Call) -> Deleted:
        return Deleted(id=await asyncio.to_thread(self._kernels.library.remove, request.ref))

    async def _find_image(self, reference: str) -> Image:
        library = self._images.library
        found = await asyncio.to_thread(library.find, reference)
        return image_view(found, library.path_of(found))

    async def _build(self, recipe: ImageRecipe, call: Call, *, force: bool = False) -> Image:
        async def make(place: Scratch, progress: Progress) -> ImageManifest:
            return await build_image(recipe, place, mirror=self._mirror, progress=progress)

        with self._failure_logged(f"image {recipe.name}"):
            made = await self._images.get(recipe.name, make, force=force, progress=call.progress)
        check_made(recipe, made.source)
        return image_view(made, self._images.library.path_of(made))

    def _outdated(self, recipe: ImageRecipe) -> bool:
        """Whether the catalogue's image was made from an older recipe. ``vm run`` goes on with it:
        whoever only wants a machine is not made to wait for a build."""
        library = self._images.library
        there = library.has(recipe.name)
        return there and outdated(recipe, library.find(recipe.name).source)

    async def _find_kernel(self, reference: str) -> Kernel:
        library = self._kernels.library
        found = await asyncio.to_thread(library.find, reference)
        return kernel_view(found, library.path_of(found))

    async def _pull(self, recipe: KernelRecipe, call: Call, *, force: bool = False) -> Kernel:
        async def make(place: Scratch, progress: Progress) -> KernelManifest:
            return await pull_kernel(recipe, place, mirror=self._mirror, progress=progress)

        with self._failure_logged(f"kernel {recipe.name}"):
            made = await self._kernels.get(recipe.name, make, force=force, progress=call.progress)
        return kernel_view(made, self._kernels.library.path_of(made))

    @contextmanager
    def _failure_logged(self, what: str) -> Iterator[None]:
        try:
            yield
        except BangerError as error:
            output = error.details.get("output", [])
            self.log.error("not made", what=what, problem=error.message, output=output)
            raise
