"""``image.promote``: copies what ``image.register`` left where it was into the library."""

import os
import subprocess
from pathlib import Path

import msgspec
from msgspec.structs import replace

from services.images.jobs.requests import PromoteJob, PublishedImage
from services.images.library.library import Library
from services.images.library.manifest import FILE_NAME, FileSum, ImageManifest, broken, sum_file
from services.images.library.publish import refused
from services.images.library.scratch import scratch
from shared.contract.reference import by_id
from shared.errors import BangerError, Code
from shared.host.files import move_into_place, require_space, sync, write_atomically
from shared.workers.job import JobContext, uninterrupted


def run(request: PromoteJob, context: JobContext) -> PublishedImage:
    """Raises BangerError: ``invalid`` when the file has another content by now, ``no_space``,
    ``denied``. An image that is in the library already stays as it is."""
    library = Library(Path(request.images), ImageManifest, "image")
    image = library.find(by_id(request.id))
    if not image.external:
        return PublishedImage(image=image)
    directory = library.path_of(image)
    require_space(library.root, image.rootfs.size, f"the copy of {image.external}")
    try:
        with scratch(library.root) as work:
            context.progress("copy", f"copying {image.external}")
            copy = _copied(image, work.path)
            context.progress("verify", "computing the checksum")
            if sum_file(copy) != FileSum(size=image.rootfs.size, sha256=image.rootfs.sha256):
                raise broken(directory, f"{image.external} was changed after it was registered")
            sync(copy)
            with uninterrupted():
                promoted = _put(copy, directory, image)
    except OSError as error:
        raise refused(directory, error) from error
    return PublishedImage(image=promoted)


def _copied(image: ImageManifest, work: Path) -> Path:
    """A copy with the time of the original, so that its manifest is true at every moment."""
    copy = work / image.rootfs.file
    program = ["cp", "--sparse=auto", "--reflink=auto", "--", image.external, str(copy)]
    done = subprocess.run(program, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        code = Code.NO_SPACE if "No space left" in said else Code.DENIED
        raise BangerError(code, f"cannot copy {image.external}: {said[-200:]}")
    copy.chmod(0o644)
    os.utime(copy, ns=(image.external_mtime_ns, image.external_mtime_ns))
    return copy


def _put(copy: Path, directory: Path, image: ImageManifest) -> ImageManifest:
    """In this order a crash leaves an image that can be read: a copy under a manifest that calls
    it external, or all of it."""
    promoted = replace(image, external="", external_mtime_ns=0)
    move_into_place(copy, directory / image.rootfs.file)
    encoded = msgspec.json.format(msgspec.json.encode(promoted), indent=2) + b"\n"
    write_atomically(directory / FILE_NAME, encoded, mode=0o644)
    return promoted
