"""``image.export``: an image, with those below it, as one file."""

from pathlib import Path

from services.images.archive.writing import write_archive
from services.images.jobs.progress import in_bytes
from services.images.jobs.requests import ExportJob, Written
from services.images.library.library import Library
from services.images.library.manifest import ImageManifest
from services.images.library.stack import stack_of
from services.images.oci.flatten.indexing import count_up
from shared.contract.reference import by_id
from shared.workers.job import JobContext


def run(request: ExportJob, context: JobContext) -> Written:
    """Raises BangerError as ``stack_of`` and ``write_archive``."""
    library = Library(Path(request.images), ImageManifest, "image")
    stack = stack_of(library, library.find(by_id(request.id)))
    total = sum(file.size for image in stack for file in image.sums().values())
    advance = count_up("write", total, in_bytes(context.progress))
    return Written(size=write_archive(stack, library.path_of, Path(request.output), advance))
