"""``image.pull``, and what ``vm run --image`` fetches: from the catalogue, a registry or a disk."""

import asyncio
from pathlib import Path

from services.images.context import ImagesContext
from services.images.jobs.requests import PublishedImage, PullJob
from services.images.library.entry_name import check_user_name
from services.images.library.manifest import ImageManifest
from services.images.library.shown import view_of
from services.images.library.single_flight import ReportProgress, SingleFlight
from services.images.oci.reference import AnyReference, Reference, parse_any
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
            check_user_name(request.name)
            self._context.image_catalogue.refuse_known(request.name)
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
        pull = ImagePull(source=request.ref, auth_file=request.auth_file)
        if await asyncio.to_thread(self._library.has, request.ref):
            made = await asyncio.to_thread(self._library.find, request.ref)
        else:
            made = await self._pull(self._parse(request.ref), pull, call)
        return await asyncio.to_thread(view_of, self._library, made)

    def _parse(self, source: str) -> AnyReference:
        """Raises ``invalid``, also for a path that depends on where somebody is."""
        reference = parse_any(source, self._context.config.images.default_registry)
        path = getattr(reference, "directory", "") or getattr(reference, "file", "")
        if not isinstance(reference, Reference) and not Path(path).is_absolute():
            raise BangerError(Code.INVALID, f"{path} is no absolute path")
        return reference

    async def _build(
        self, recipe: Recipe[ImageManifest], request: ImagePull, call: Call
    ) -> ImageManifest:
        """An image of the catalogue, in its newest edition."""
        library = self._library
        here = await asyncio.to_thread(library.has, recipe.name)
        old = here and recipe.is_newer_than(
            (await asyncio.to_thread(library.find, recipe.name)).source
        )
        builds, force = self._context.images, request.force or old
        made = await builds.get(recipe.name, recipe.make, force=force, progress=call.progress)
        if not request.name:
            return made
        return await asyncio.to_thread(library.tag, recipe.name, request.name, force=request.force)

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
            for notice in made.notices:
                self._context.log.warning("pulled with a difference", image=job.source, what=notice)
            return made.image

        return await self._pulls.run(repr(job), work, call.progress)

    def _find(self, reference: AnyReference, request: ImagePull) -> ImageManifest | None:
        """The image that has the name already, when it was made from this."""
        if not isinstance(reference, Reference):
            return None
        name = request.name or reference.familiar
        if not self._library.has(name):
            return None
        found = self._library.find(name)
        same = found.origin and found.origin.reference == str(reference)
        return found if same else None
