"""Images into files and out of them: import, export, register, promote, tag."""

from services.images.context import ImagesContext
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

    @handles(images.IMAGE_IMPORT)
    async def import_image(self, _request: ImageImport, _call: Call) -> Image:
        raise BangerError(Code.UNAVAILABLE, f"{images.IMAGE_IMPORT.name} is not written yet")

    @handles(images.IMAGE_EXPORT)
    async def export(self, _request: ImageExport, _call: Call) -> ImageExported:
        raise BangerError(Code.UNAVAILABLE, f"{images.IMAGE_EXPORT.name} is not written yet")

    @handles(images.IMAGE_REGISTER)
    async def register(self, _request: ImageRegister, _call: Call) -> Image:
        raise BangerError(Code.UNAVAILABLE, f"{images.IMAGE_REGISTER.name} is not written yet")

    @handles(images.IMAGE_PROMOTE)
    async def promote(self, _request: Ref, _call: Call) -> Image:
        raise BangerError(Code.UNAVAILABLE, f"{images.IMAGE_PROMOTE.name} is not written yet")

    @handles(images.IMAGE_TAG)
    async def tag(self, _request: ImageTag, _call: Call) -> Image:
        raise BangerError(Code.UNAVAILABLE, f"{images.IMAGE_TAG.name} is not written yet")

    @handles(images.KERNEL_IMPORT)
    async def import_kernel(self, _request: KernelImport, _call: Call) -> Kernel:
        raise BangerError(Code.UNAVAILABLE, f"{images.KERNEL_IMPORT.name} is not written yet")
