"""``image.pull``: from the catalogue, a registry or an archive."""

from services.images.context import ImagesContext
from shared.bus.handlers import Call, handles
from shared.contract.messages.image import Image
from shared.contract.messages.image_work import ImagePull
from shared.contract.verbs import images
from shared.errors import BangerError, Code


class PullVerbs:
    """The verb that fetches images."""

    def __init__(self, context: ImagesContext) -> None:
        self._context = context

    @handles(images.IMAGE_PULL)
    async def pull(self, _request: ImagePull, _call: Call) -> Image:
        raise BangerError(Code.UNAVAILABLE, f"{images.IMAGE_PULL.name} is not written yet")
