"""What images and kernels occupy, and what of it nothing needs."""

from services.images.context import ImagesContext
from shared.bus.handlers import Call, handles
from shared.contract.messages.image_work import Pruned, PruneUnused, StorageUsage, UsageQuestion
from shared.contract.verbs import images
from shared.errors import BangerError, Code


class StorageVerbs:
    """Verbs about the disk. The api tells what VMs use."""

    def __init__(self, context: ImagesContext) -> None:
        self._context = context

    @handles(images.IMAGE_PRUNE)
    async def prune(self, _request: PruneUnused, _call: Call) -> Pruned:
        raise BangerError(Code.UNAVAILABLE, f"{images.IMAGE_PRUNE.name} is not written yet")

    @handles(images.USAGE)
    async def usage(self, _request: UsageQuestion, _call: Call) -> StorageUsage:
        raise BangerError(Code.UNAVAILABLE, f"{images.USAGE.name} is not written yet")
