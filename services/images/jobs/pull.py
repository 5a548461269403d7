"""``image.pull``: an OCI image from a registry, a layout or an archive becomes an image here."""

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from services.images.jobs.progress import in_bytes
from services.images.jobs.requests import PublishedImage, PullJob
from services.images.library.describe import SQUASHFS, describe_image
from services.images.library.entry_name import check_entry_name
from services.images.library.library import Library
from services.images.library.manifest import ImageManifest
from services.images.library.publish import publish
from services.images.library.scratch import scratch
from services.images.oci.blobs import BlobCache
from services.images.oci.flatten.flattening import flatten
from services.images.oci.image_config import Pulled
from services.images.oci.pulling import AlreadyHere, PullOptions, pulled
from services.images.oci.reference import (
    AnyReference,
    ArchiveReference,
    LayoutReference,
    Reference,
    parse,
    parse_any,
)
from shared.contract.messages.image import ImageOrigin, OriginKind
from shared.errors import BangerError, Code
from shared.host.files import require_space
from shared.workers.job import JobContext, uninterrupted

_UNTAGGED = "latest"


def run(request: PullJob, context: JobContext) -> PublishedImage:
    """Raises BangerError as ``pulled`` and ``flatten``, and ``conflict`` when another image has the
    name that a user has chosen. Nothing stays then but whole and partial downloads."""
    reference = parse_any(request.source, request.default_registry)
    library = Library(Path(request.images), ImageManifest, "image")
    cache = BlobCache(Path(request.blobs))
    options = PullOptions(
        cache,
        context.directory,
        request.auth_file,
        request.insecure,
        context.progress,
    )
    known = {} if request.force else _known(library)
    report = in_bytes(context.progress)
    need_space = partial(require_space, library.root, what=f"the image {request.source}")
    try:
        with pulled(reference, options, report, known.__contains__, need_space) as image:
            return _publish(library, image, reference, request, cache, context)
    except AlreadyHere as found:
        return _take_over(library, known[found.digest], reference, request)


def publish_archive(
    library: Library[ImageManifest], file: Path, name: str, context: JobContext
) -> PublishedImage:
    """Publish the only image of an archive of ``docker save``. Raises as ``run``."""
    request = PullJob(images=str(library.root), blobs="", source=str(file), name=name)
    reference = ArchiveReference(str(file), "")
    options = PullOptions(BlobCache(context.directory / "blobs"), context.directory)
    need_space = partial(require_space, library.root, what="the image")
    report = in_bytes(context.progress)
    with pulled(reference, options, report, lambda _: False, need_space) as image:
        return _publish(library, image, reference, request, options.cache, context)


def _known(library: Library[ImageManifest]) -> dict[str, ImageManifest]:
    """The images that were pulled, by the digests of their manifests."""
    return {
        entry.origin.digest: entry
        for entry in library.entries()[0]
        if entry.origin and entry.origin.kind == "oci" and entry.origin.digest
    }


def _publish(
    library: Library[ImageManifest],
    image: Pulled,
    reference: AnyReference,
    request: PullJob,
    cache: BlobCache,
    context: JobContext,
) -> PublishedImage:
    name = _name(reference, image.name, request)
    with scratch(library.root) as work:
        report = in_bytes(context.progress)
        with _distrusting(cache, image, reference):
            notices = flatten(image.layers, work.path / SQUASHFS, progress=report)
        context.progress("verify", "computing the checksum")
        kind, source = _origin(reference, image.name)
        described = describe_image(
            work.path,
            name,
            f"{kind}:{source}",
            origin=ImageOrigin(kind=kind, reference=source, digest=image.digest),
            config=image.config,
            blobs=tuple(dict.fromkeys(layer.digest for layer in image.layers)),
        )
        _check_name(library, described, request)
        with uninterrupted():
            publish(work, described)
    return PublishedImage(image=described, notices=list(notices))


@contextlib.contextmanager
def _distrusting(cache: BlobCache, image: Pulled, reference: AnyReference) -> Iterator[None]:
    """A layer that turns out to be wrong does not stay in the cache."""
    try:
        yield
    except BangerError as error:
        if error.code is Code.INVALID and isinstance(reference, Reference):
            for layer in image.layers:
                cache.drop(layer.digest)
        raise


def _origin(reference: AnyReference, told: str) -> tuple[OriginKind, str]:
    """Where the image comes from: of an archive what it calls the image, since its file may be a
    pipe."""
    match reference:
        case Reference():
            return "oci", str(reference)
        case LayoutReference(directory, tag):
            return "oci", f"{directory}:{tag}" if tag else directory
        case ArchiveReference(file):
            return "archive", told or Path(file).name


def _take_over(
    library: Library[ImageManifest],
    found: ImageManifest,
    reference: AnyReference,
    request: PullJob,
) -> PublishedImage:
    """Give an image that is here the name that was asked for."""
    wanted = replace(found, name=_name(reference, "", request))
    _check_name(library, wanted, request)
    return PublishedImage(image=library.tag(f"id={found.id}", wanted.name, force=True))


def _name(reference: AnyReference, told: str, request: PullJob) -> str:
    """The user's choice, else the familiar form of a reference, else what the archive says, else
    the name of the directory."""
    if request.name:
        return request.name
    if isinstance(reference, Reference):
        return check_entry_name(reference.familiar)
    if isinstance(reference, LayoutReference):
        tag = reference.tag or _UNTAGGED
        path = Path(reference.directory).name
        told = told if "/" in told or ":" in told else f"{path}:{tag}"
    return check_entry_name(_familiar(told, request))


def _familiar(told: str, request: PullJob) -> str:
    try:
        return parse(told, request.default_registry).familiar
    except BangerError as error:
        error.hint = "name it yourself with --name"
        raise


def _check_name(library: Library[ImageManifest], made: ImageManifest, request: PullJob) -> None:
    """A name that a user has chosen is not taken from another image; a tag moves with its source,
    as everywhere."""
    if request.name and not request.force:
        library.refuse_taken(made.name, made.id)
