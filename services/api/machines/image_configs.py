"""What the images of VMs say of how to be run, asked of the images service once each.

An image's id is of its content and a VM's image stays as long as the VM, so an answer holds.
"""

from collections import OrderedDict

from shared.bus.ask import Ask
from shared.contract.messages.image import Image, ImageConfig
from shared.contract.reference import by_id
from shared.contract.verbs import images
from shared.errors import BangerError

MOST_KEPT = 64


class ImageConfigs:
    """By the id of the image; the ``MOST_KEPT`` used last are kept."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: OrderedDict[str, ImageConfig | None] = OrderedDict()

    def learn(self, image: Image) -> None:
        """Keep what a creation was told of its image anyway."""
        self._known[image.id] = image.config
        self._known.move_to_end(image.id)
        if len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)

    async def of(self, image_id: str) -> ImageConfig | None:
        """None for an image without one.

        Raises:
            BangerError: the images service's own, when it was never asked before.
        """
        if image_id not in self._known:
            self.learn(await self._ask(images.IMAGE_SHOW(ref=by_id(image_id))))
        return self._known[image_id]

    async def if_known(self, image_id: str) -> ImageConfig | None:
        """As ``of``, and None where the images service does not say."""
        try:
            return await self.of(image_id)
        except BangerError:
            return None
