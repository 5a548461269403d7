"""What the groups of verbs of this service share."""

import asyncio
from dataclasses import dataclass, field

from services.images.building.kept_steps import KeptSteps
from services.images.job_runner import JobRunner
from services.images.jobs.requests import PublishedImage
from services.images.library.entry_name import check_user_name
from services.images.library.library import Library
from services.images.library.manifest import ImageManifest, KernelManifest, M
from services.images.library.on_demand import BuildOnDemand
from services.images.sources.contract import Recipe
from services.images.sources.registry import Catalogue, image_sources, kernel_sources
from shared.bus.handlers import Call
from shared.config import Config
from shared.errors import BangerError
from shared.logs import Log
from shared.paths import Paths


@dataclass
class ImagesContext:
    """The two libraries, what is being made for them, and where it can come from."""

    paths: Paths
    log: Log
    config: Config
    images: BuildOnDemand[ImageManifest] = field(init=False)
    kernels: BuildOnDemand[KernelManifest] = field(init=False)
    jobs: JobRunner = field(init=False)
    image_catalogue: Catalogue[ImageManifest] = field(init=False)
    kernel_catalogue: Catalogue[KernelManifest] = field(init=False)
    kept: KeptSteps = field(init=False)

    def __post_init__(self) -> None:
        self.images = BuildOnDemand(Library(self.paths.images, ImageManifest, "image"))
        self.kernels = BuildOnDemand(Library(self.paths.kernels, KernelManifest, "kernel"))
        self.jobs = JobRunner(self.paths.image_jobs, self.paths.images, self.log)
        self.image_catalogue = image_sources(self.config)
        self.kernel_catalogue = kernel_sources(self.config)
        self.kept = KeptSteps(self.paths.builds)

    async def catalogue_entry(
        self,
        builds: BuildOnDemand[M],
        recipe: Recipe[M],
        call: Call,
        *,
        force: bool = False,
        renew: bool = False,
    ) -> M:
        """The published entry of the recipe's name.

        It is made when it is missing, with ``force`` always, and with ``renew`` when an older
        recipe made it. ``vm run`` does not renew: a user who wants a VM does not wait for a build.

        A failure is logged with the last lines of the program that failed.
        """
        old = renew and await asyncio.to_thread(_is_outdated, builds.library, recipe)
        try:
            return await builds.get(
                recipe.name, recipe.make, force=force or old, progress=call.progress
            )
        except BangerError as error:
            output = error.details.get("output", [])
            self.log.error("not made", name=recipe.name, problem=error.message, output=output)
            raise

    def check_new_name(self, name: str) -> None:
        """Raise ``invalid`` for what no image can be called, or what the catalogue has."""
        check_user_name(name)
        self.image_catalogue.refuse_known(name)

    def published(self, made: PublishedImage) -> ImageManifest:
        """The image that a job has published. What it lacks of its source goes into the log."""
        for notice in made.notices:
            self.log.warning(
                "the image differs from its source", image=made.image.name, what=notice
            )
        return made.image


def _is_outdated(library: Library[M], recipe: Recipe[M]) -> bool:
    found = library.named(recipe.name)
    return found is not None and recipe.is_newer_than(found.source)
