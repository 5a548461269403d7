"""Images into files and out of them: import, export, register, promote, tag."""

import asyncio
from functools import partial

from services.images.context import ImagesContext
from services.images.jobs.requests import (
    ExportJob,
    ImportJob,
    PromoteJob,
    PublishedImage,
    RegisterJob,
    Written,
)
from services.images.library.entry_name import check_user_name
from services.images.library.shown import view_of
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
from shared.contract.verbs import images
from shared.errors import BangerError, Code


class ArchiveVerbs:
    """Verbs that need no network and no VM."""

    def __init__(self, context: ImagesContext) -> None:
        self._context = context
        self._library = context.images.library

    def _check_new_name(self, name: str) -> None:
        """Raise ``invalid`` for what no image can be called, or what the catalogue has."""
        check_user_name(name)
        self._context.image_catalogue.refuse_known(name)

    @handles(images.IMAGE_IMPORT)
    async def import_image(self, request: ImageImport, call: Call) -> Image:
        if request.name:
            self._check_new_name(request.name)
        job = ImportJob(images=str(self._library.root), file=request.file, name=request.name)
        made = await self._context.jobs.run("import_archive", job, PublishedImage, call)
        return await asyncio.to_thread(view_of, self._library, made.image)

    @handles(images.IMAGE_EXPORT)
    async def export(self, request: ImageExport, call: Call) -> ImageExported:
        entry = await asyncio.to_thread(self._library.find, request.ref)
        job = ExportJob(images=str(self._library.root), id=entry.id, output=request.output)
        written = await self._context.jobs.run("export_archive", job, Written, call)
        return ImageExported(id=entry.id, name=entry.name, size=written.size)

    @handles(images.IMAGE_REGISTER)
    async def register(self, request: ImageRegister, call: Call) -> Image:
        self._check_new_name(request.name)
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
        return await asyncio.to_thread(view_of, self._library, made.image)

    @handles(images.IMAGE_PROMOTE)
    async def promote(self, request: Ref, call: Call) -> Image:
        entry = await asyncio.to_thread(self._library.find, request.ref)
        job = PromoteJob(images=str(self._library.root), id=entry.id)
        made = await self._context.jobs.run("promote", job, PublishedImage, call)
        return await asyncio.to_thread(view_of, self._library, made.image)

    @handles(images.IMAGE_TAG)
    async def tag(self, request: ImageTag, _call: Call) -> Image:
        self._check_new_name(request.name)
        tag = partial(self._library.tag, request.ref, request.name, force=request.force)
        entry = await asyncio.to_thread(tag)
        return await asyncio.to_thread(view_of, self._library, entry)

    @handles(images.KERNEL_IMPORT)
    async def import_kernel(self, _request: KernelImport, _call: Call) -> Kernel:
        raise BangerError(Code.UNAVAILABLE, f"{images.KERNEL_IMPORT.name} is not written yet")
