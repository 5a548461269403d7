"""What the groups of verbs of this service share."""

from dataclasses import dataclass, field

from services.images.building.kept_steps import KeptSteps
from services.images.job_runner import JobRunner
from services.images.library.library import Library
from services.images.library.manifest import ImageManifest, KernelManifest
from services.images.library.on_demand import BuildOnDemand
from services.images.sources.registry import Catalogue, image_sources, kernel_sources
from shared.config import Config
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
