"""``image.import``: what ``image.export`` has written, or ``docker save``."""

import shutil
import stat
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace

from services.images.archive.contents import HEAD
from services.images.archive.reading import ArchiveReader, opened
from services.images.jobs.progress import in_bytes
from services.images.jobs.pull import publish_archive
from services.images.jobs.requests import ImportJob, PublishedImage
from services.images.library.library import Library
from services.images.library.manifest import ImageManifest
from services.images.library.publish import publish, together
from services.images.library.scratch import Scratch, scratch
from services.images.oci.flatten.indexing import count_up
from shared.errors import BangerError, Code
from shared.host.files import is_full, require_space
from shared.workers.job import JobContext, uninterrupted

GZIP = b"\x1f\x8b"
"""RFC 1952 section 2.3.1."""


def run(request: ImportJob, context: JobContext) -> PublishedImage:
    """Raises BangerError: ``invalid`` for an archive that is damaged or foreign, ``conflict`` when
    another image has the name, ``no_space``, ``denied``. Nothing of it stays then."""
    library = Library(Path(request.images), ImageManifest, "image")
    try:
        file = regular_file(Path(request.file), context.directory)
        if is_tar(file):
            return publish_archive(library, file, request.name, context)
        with opened(file) as reader:
            return PublishedImage(image=_publish(library, reader, request.name, context))
    except OSError as error:
        code = Code.NO_SPACE if is_full(error) else Code.DENIED
        what = error.filename or request.file
        raise BangerError(code, f"cannot import {what}: {error.strerror}") from error


def is_tar(file: Path) -> bool:
    """Whether docker may have written it: a tar, which some people pack with gzip. Ours are packed
    with zstd, or unpacked again."""
    with file.open("rb") as content:
        start = content.read(512)
    is_ours = start.startswith(HEAD.encode() + b"\0")
    return start[:2] == GZIP or (start[257:262] == b"ustar" and not is_ours)


def regular_file(file: Path, directory: Path) -> Path:
    """``file``, or what comes out of it, if it is a pipe, as a file in ``directory``."""
    if stat.S_ISREG(file.stat().st_mode):
        return file
    spooled = directory / "spooled"
    with file.open("rb") as source, spooled.open("xb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return spooled


def _publish(
    library: Library[ImageManifest], reader: ArchiveReader, name: str, context: JobContext
) -> ImageManifest:
    images = _named(library, reader.head.images, name)
    require_space(library.root, reader.size, "the image")
    with ExitStack() as stack:
        works: dict[str, Scratch] = {
            image.id: stack.enter_context(scratch(library.root)) for image in images
        }
        reader.extract(
            lambda member: works[member.image.id].path / member.file,
            count_up("read", reader.size, in_bytes(context.progress)),
        )
        with uninterrupted(), together(library.root):
            for image in images:
                publish(works[image.id], image)
    return images[-1]


def _named(
    library: Library[ImageManifest], images: list[ImageManifest], name: str
) -> list[ImageManifest]:
    """The images as they are to be called here. The image itself must not take a name away from
    another one, and those below it do not insist on theirs.

    Raises:
        BangerError: ``conflict``.
    """
    taken = library.names()
    *below, top = images
    wanted = name or top.name
    if taken.get(wanted, top.id) != top.id:
        raise BangerError(
            Code.CONFLICT,
            f"there is another image {wanted} ({taken[wanted]})",
            hint="give it another name with --name, or delete the other one first",
        )
    free = [
        each if taken.get(each.name, each.id) == each.id else replace(each, name="")
        for each in below
    ]
    return [*free, replace(top, name=wanted)]
