"""Layers that were taken out of VMs, and the cache of the steps that made them."""

from services.images.context import ImagesContext
from shared.bus.handlers import Call, handles
from shared.contract.messages.image import Image
from shared.contract.messages.image_work import CachedStep, ImageCapture
from shared.contract.verbs import images
from shared.errors import BangerError, Code


class CaptureVerbs:
    """Verbs that only the api asks."""

    def __init__(self, context: ImagesContext) -> None:
        self._context = context

    @handles(images.IMAGE_CACHED)
    async def cached(self, _request: CachedStep, _call: Call) -> Image:
        raise BangerError(Code.UNAVAILABLE, f"{images.IMAGE_CACHED.name} is not written yet")

    @handles(images.IMAGE_CAPTURE)
    async def capture(self, _request: ImageCapture, _call: Call) -> Image:
        raise BangerError(Code.UNAVAILABLE, f"{images.IMAGE_CAPTURE.name} is not written yet")
