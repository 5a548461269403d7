"""What images and kernels occupy, and what of it nothing needs."""

import asyncio

from services.images.building.kept_steps import KeptSteps
from services.images.context import ImagesContext
from services.images.library.disk_usage import image_space, kernel_space, prune_images, pruned
from services.images.library.stack import real_bytes
from services.images.oci.blobs import BlobCache
from shared.bus.handlers import Call, handles
from shared.contract.messages.image_work import (
    Pruned,
    PrunedItem,
    PruneUnused,
    SpaceUsed,
    StorageUsage,
    UsageQuestion,
)
from shared.contract.verbs import images
from shared.host.files import free_bytes


class StorageVerbs:
    """Verbs about the disk. The api tells what VMs use."""

    def __init__(self, context: ImagesContext) -> None:
        self._images, self._kernels = context.images.library, context.kernels.library
        self._data = context.paths.data
        self._blobs = BlobCache(context.paths.blobs)
        self._steps = KeptSteps(context.paths.builds)

    @handles(images.IMAGE_PRUNE)
    async def prune(self, request: PruneUnused, _call: Call) -> Pruned:
        return await asyncio.to_thread(self._prune, request)

    @handles(images.USAGE)
    async def usage(self, request: UsageQuestion, _call: Call) -> StorageUsage:
        return await asyncio.to_thread(self._usage, request.used)

    def _prune(self, request: PruneUnused) -> Pruned:
        """Downloads first: that is refused while an image is pulled, and then nothing is gone."""
        blobs = self._blobs.prune(dry_run=request.dry_run)
        gone = [PrunedItem(kind="download", name=b.digest, real_bytes=b.real_bytes) for b in blobs]
        gone += prune_images(self._images, request.used, dry_run=request.dry_run)
        for item in self._kept_steps():
            gone.append(item)
            if not request.dry_run:
                self._steps.remove(item.name)
        return pruned(gone)

    def _kept_steps(self) -> list[PrunedItem]:
        return [
            PrunedItem(kind="build", name=step.name, real_bytes=real_bytes(step))
            for step in self._steps.steps()
        ]

    def _usage(self, used: list[str]) -> StorageUsage:
        blobs = [blob.real_bytes for blob in self._blobs.entries()]
        steps = [step.real_bytes for step in self._kept_steps()]
        downloads = SpaceUsed(
            kind="downloads", count=len(blobs), real_bytes=sum(blobs), reclaimable=sum(blobs)
        )
        builds = SpaceUsed(
            kind="builds", count=len(steps), real_bytes=sum(steps), reclaimable=sum(steps)
        )
        stored = [image_space(self._images, used), kernel_space(self._kernels)]
        return StorageUsage(
            used=[*stored, downloads, builds],
            path=str(self._data),
            free_bytes=free_bytes(self._data),
        )
