"""``image.pull``, and what ``vm run --image`` fetches: from the catalogue, a registry or a disk."""

import asyncio

from services.images.context import ImagesContext
from services.images.jobs.requests import PublishedImage, PullJob
from services.images.library.manifest import ImageManifest
from services.images.library.shown import find_image, view_of
from services.images.library.single_flight import ReportProgress, SingleFlight
from services.images.oci.reference import (
    AnyReference,
    ArchiveReference,
    LayoutReference,
    Reference,
    parse_any,
)
from services.images.sources.contract import Recipe
from shared.bus.handlers import Call, handles
from shared.contract.messages.image import Image, Resolve
from shared.contract.messages.image_work import ImagePull
from shared.contract.verbs import images
from shared.errors import BangerError, Code


class PullVerbs:
    """The verbs that fetch images. Two callers that want the same share the work."""

    def __init__(self, context: ImagesContext) -> None:
        self._context = context
        self._library = context.images.library
        self._pulls: SingleFlight[ImageManifest] = SingleFlight()

    @handles(images.IMAGE_PULL)
    async def pull(self, request: ImagePull, call: Call) -> Image:
        if request.name:
            self._context.check_new_name(request.name)
        if recipe := self._context.image_catalogue.find(request.source):
            made = await self._build(recipe, request, call)
        else:
            made = await self._pull(self._parse(request.source), request, call)
        return await asyncio.to_thread(view_of, self._library, made)

    async def resolve(self, request: Resolve, call: Call) -> Image | None:
        """The image of a reference that can only mean a registry or a path, pulled if it is not
        here; None for one that may be a name or an id of this machine."""
        if not any(sign in request.ref for sign in ":/@"):
            return None
        if await asyncio.to_thread(self._library.named, request.ref):
            return await asyncio.to_thread(find_image, self._library, request.ref)
        pull = ImagePull(source=request.ref, auth_file=request.auth_file)
        made = await self._pull(self._parse(request.ref), pull, call)
        return await asyncio.to_thread(view_of, self._library, made)

    def _parse(self, source: str) -> AnyReference:
        """Raises ``invalid``, also for a path that depends on where somebody is."""
        match parse_any(source, self._context.config.images.default_registry):
            case LayoutReference(path, _) | ArchiveReference(path, _) if not path.startswith("/"):
                raise BangerError(Code.INVALID, f"{path} is not an absolute path")
            case reference:
                return reference

    async def _build(
        self, recipe: Recipe[ImageManifest], request: ImagePull, call: Call
    ) -> ImageManifest:
        """An image of the catalogue, in its newest edition."""
        context, force = self._context, request.force
        made = await context.catalogue_entry(context.images, recipe, call, force=force, renew=True)
        if not request.name:
            return made
        return await asyncio.to_thread(self._library.tag, recipe.name, request.name, force=force)

    async def _pull(self, reference: AnyReference, request: ImagePull, call: Call) -> ImageManifest:
        if not request.force and (found := await asyncio.to_thread(self._find, reference, request)):
            return found
        job = PullJob(
            images=str(self._library.root),
            blobs=str(self._context.paths.blobs),
            source=request.source,
            name=request.name,
            default_registry=self._context.config.images.default_registry,
            auth_file=request.auth_file,
            insecure=request.insecure,
            force=request.force,
        )

        async def work(report: ReportProgress) -> ImageManifest:
            made = await self._context.jobs.run("pull", job, PublishedImage, call, progress=report)
            return self._context.published(made)

        return await self._pulls.run(repr(job), work, call.progress)

    def _find(self, reference: AnyReference, request: ImagePull) -> ImageManifest | None:
        """The image that has the name already, when it was made from this."""
        if not isinstance(reference, Reference):
            return None
        name = request.name or reference.familiar
        found = self._library.named(name)
        same = found and found.origin and found.origin.reference == str(reference)
        return found if same else None
