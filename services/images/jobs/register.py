"""``image.register``: an image of a root filesystem that the user has."""

from pathlib import Path

from services.images.jobs.progress import in_bytes
from services.images.jobs.requests import PublishedImage, RegisterJob
from services.images.library.describe import describe_image
from services.images.library.library import Library
from services.images.library.manifest import ImageManifest
from services.images.library.publish import publish, refused
from services.images.library.scratch import scratch
from services.images.rootfs.intake import pack_seed, take_rootfs
from shared.contract.messages.image import ImageOrigin
from shared.errors import BangerError, Code
from shared.host.files import is_full
from shared.workers.job import JobContext, uninterrupted


def run(request: RegisterJob, context: JobContext) -> PublishedImage:
    """Raises BangerError: ``invalid``, ``conflict`` when another image has the name, ``denied``,
    and as ``take_rootfs``."""
    library = Library(Path(request.images), ImageManifest, "image")
    source = Path(request.rootfs).resolve()  # where it is, whatever leads to it later
    try:
        with scratch(library.root) as work:
            taken = take_rootfs(source, work.path, in_bytes(context.progress))
            if request.work_seed:
                pack_seed(Path(request.work_seed), work.path)
            context.progress("verify", "computing the checksum")
            made = describe_image(
                work.path,
                request.name,
                f"file:{source.name}",
                origin=ImageOrigin(kind="registered", reference=str(source)),
                kernel=request.kernel,
                external=taken.external,
            )
            if not request.force:
                library.refuse_taken(made.name, made.id)
            with uninterrupted():
                publish(work, made)
    except OSError as error:
        what = error.filename or source
        if is_full(error):
            raise refused(library.root, error) from error
        raise BangerError(Code.DENIED, f"cannot read {what}: {error.strerror}") from error
    return PublishedImage(image=made, notices=list(taken.notices))
