"""Images into files and out of them: import, export, register, promote, tag."""

import asyncio
from functools import partial
from pathlib import Path

from services.images.context import ImagesContext
from services.images.jobs.requests import (
    ExportJob,
    ImportJob,
    PromoteJob,
    PublishedImage,
    RegisterJob,
    Written,
)
from services.images.library.shown import view_of
from services.images.library.views import kernel_view
from services.images.sources.kernel_directory import import_kernel
from shared.bus.handlers import Call, handles
from shared.contract.messages.image import Image, Kernel, Ref
from shared.contract.messages.image_work import (
    ImageExport,
    ImageExported,
    ImageImport,
    ImageRegister,
    ImageTag,
    KernelImport,
)
from shared.contract.names import check_name
from shared.contract.verbs import images


class ArchiveVerbs:
    """Verbs that need no network and no VM."""

    def __init__(self, context: ImagesContext) -> None:
        self._context = context
        self._library = context.images.library

    @handles(images.IMAGE_IMPORT)
    async def import_image(self, request: ImageImport, call: Call) -> Image:
        if request.name:
            self._context.check_new_name(request.name)
        job = ImportJob(images=str(self._library.root), file=request.file, name=request.name)
        made = await self._context.jobs.run("import_archive", job, PublishedImage, call)
        image = self._context.published(made)
        return await asyncio.to_thread(view_of, self._library, image)

    @handles(images.IMAGE_EXPORT)
    async def export(self, request: ImageExport, call: Call) -> ImageExported:
        entry = await asyncio.to_thread(self._library.find, request.ref)
        job = ExportJob(images=str(self._library.root), id=entry.id, output=request.output)
        written = await self._context.jobs.run("export_archive", job, Written, call)
        return ImageExported(id=entry.id, name=entry.name, size=written.size)

    @handles(images.IMAGE_REGISTER)
    async def register(self, request: ImageRegister, call: Call) -> Image:
        self._context.check_new_name(request.name)
        if request.kernel:
            kernels = self._context.kernels.library
            if self._context.kernel_catalogue.find(request.kernel) is None:
                await asyncio.to_thread(kernels.find, request.kernel)
        job = RegisterJob(
            images=str(self._library.root),
            name=request.name,
            rootfs=request.rootfs,
            kernel=request.kernel,
            work_seed=request.work_seed,
            force=request.force,
        )
        made = await self._context.jobs.run("register", job, PublishedImage, call)
        image = self._context.published(made)
        return await asyncio.to_thread(view_of, self._library, image)

    @handles(images.IMAGE_PROMOTE)
    async def promote(self, request: Ref, call: Call) -> Image:
        entry = await asyncio.to_thread(self._library.find, request.ref)
        job = PromoteJob(images=str(self._library.root), id=entry.id)
        made = await self._context.jobs.run("promote", job, PublishedImage, call)
        return await asyncio.to_thread(view_of, self._library, made.image)

    @handles(images.IMAGE_TAG)
    async def tag(self, request: ImageTag, _call: Call) -> Image:
        self._context.check_new_name(request.name)
        tag = partial(self._library.tag, request.ref, request.name, force=request.force)
        entry = await asyncio.to_thread(tag)
        return await asyncio.to_thread(view_of, self._library, entry)

    @handles(images.KERNEL_IMPORT)
    async def import_kernel(self, request: KernelImport, call: Call) -> Kernel:
        directory = Path(request.directory)
        name = request.name or directory.name
        check_name(name, "a kernel")
        self._context.kernel_catalogue.refuse_known(name)
        kernels = self._context.kernels
        make = partial(import_kernel, directory, name, kernels.library)
        made = await kernels.get(name, make, force=True, progress=call.progress)
        return kernel_view(made, kernels.library.path_of(made))
