"""``image.capture``: a layer that was taken out of a VM becomes an image."""

import asyncio
import os
from types import NoneType

from services.images.context import ImagesContext
from services.images.jobs.requests import CaptureJob
from services.images.library.describe import SEED, describe_image
from services.images.library.manifest import ImageManifest
from services.images.library.publish import publish
from services.images.library.scratch import Scratch, scratch
from services.images.library.shown import view_of
from services.images.library.stack import stack_of
from shared.bus.handlers import Call, handles
from shared.contract.messages.image import MOST_LAYERS, Image
from shared.contract.messages.image_work import ImageCapture
from shared.contract.reference import by_id
from shared.contract.verbs import images
from shared.errors import BangerError, Code


class CaptureVerbs:
    """The verb that only the api asks."""

    def __init__(self, context: ImagesContext) -> None:
        self._context = context

    @handles(images.IMAGE_CAPTURE)
    async def capture(self, request: ImageCapture, call: Call) -> Image:
        context, library = self._context, self._context.images.library
        context.check_new_name(request.name)
        base = await asyncio.to_thread(base_with_room, context, request.base)
        with scratch(library.root) as work:
            job = CaptureJob(
                vm_state=str(context.paths.vm_state(request.vm_id)),
                output=str(work.path),
                work_seed=request.work_seed,
            )
            call.progress("capture", "reading what the VM has changed")
            await context.jobs.run("capture", job, NoneType, call)
            call.progress("publish", "writing it to the disk")
            publishing = asyncio.ensure_future(
                asyncio.to_thread(self._publish, work, request, base)
            )
            try:
                return await asyncio.shield(publishing)
            except asyncio.CancelledError:
                await publishing  # it still uses the directory
                raise

    def _publish(self, work: Scratch, request: ImageCapture, base: ImageManifest) -> Image:
        library = self._context.images.library
        if base.seed and not request.work_seed:
            os.link(library.path_of(base) / base.seed.file, work.path / SEED)
        manifest = describe_image(
            work.path,
            request.name,
            f"{request.origin.kind}:{request.origin.reference}",
            origin=request.origin,
            config=request.config or base.config,
            base=base,
            kernel=base.kernel,
        )
        publish(work, manifest)
        if request.key:
            self._context.kept.note_image(request.key, manifest.id)
        return view_of(library, library.find(by_id(manifest.id)))


def base_with_room(context: ImagesContext, identifier: str) -> ImageManifest:
    """The image of this id, on which one more can lie.

    Raises:
        BangerError: ``invalid`` when its stack is as high as any can be, or broken.
    """
    library = context.images.library
    base = library.find(by_id(identifier))
    if len(stack_of(library, base)) >= MOST_LAYERS:
        raise BangerError(
            Code.INVALID,
            f"{base.name} has {MOST_LAYERS} layers, as many as an image can have",
            hint="begin with an image that has fewer",
        )
    return base
