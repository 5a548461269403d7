"""An image from wherever a reference leads: its content on this host, ready to be flattened."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from services.images.oci.archive import read_archive
from services.images.oci.blobs import BlobCache
from services.images.oci.flatten.indexing import OnProgress, count_up
from services.images.oci.image_config import Pulled
from services.images.oci.layout import read_directory
from services.images.oci.reference import (
    AnyReference,
    ArchiveReference,
    LayoutReference,
    Reference,
)
from services.images.oci.registry.download import RegistryDownload
from services.images.oci.registry.session import Tell, tell_nobody
from shared.errors import BangerError, Code

IsKnown = Callable[[str], bool]
"""Whether an image of the manifest with this digest need not be fetched."""
NeedSpace = Callable[[int], None]
"""Raises ``no_space`` unless so many bytes can be stored."""


class AlreadyHere(Exception):
    """There is an image of the manifest with this ``digest`` already."""

    def __init__(self, digest: str) -> None:
        super().__init__(digest)
        self.digest = digest


@dataclass(frozen=True)
class PullOptions:
    """How a registry is asked, and where what it sends is put."""

    cache: BlobCache
    directory: Path
    """Private, for what is only needed until the image is made."""
    auth_file: str = ""
    insecure: bool = False
    tell: Tell = tell_nobody


@contextmanager
def pulled(
    reference: AnyReference,
    options: PullOptions,
    progress: OnProgress,
    is_known: IsKnown,
    need_space: NeedSpace,
) -> Iterator[Pulled]:
    """The content of an image; its files stay at least as long as the block.

    Raises:
        AlreadyHere: instead of a download.
        BangerError: as the modules of the registry, the layout and the archive say.
    """
    match reference:
        case LayoutReference(directory, tag):
            image = _unless_known(read_directory(Path(directory), tag), is_known)
            # lz4 packs a tree to about twice of what gzip does.
            need_space(2 * sum(layer.size for layer in image.layers))
            yield image
        case ArchiveReference(file, name):
            with TemporaryDirectory(dir=options.directory) as unpacked:
                yield _read(Path(file), name, Path(unpacked), progress, need_space)
        case Reference():
            with options.cache.in_use():
                yield _download(reference, options, progress, is_known, need_space)


def _read(
    file: Path, name: str, directory: Path, progress: OnProgress, need_space: NeedSpace
) -> Pulled:
    try:
        total = file.stat().st_size
    except OSError as error:
        raise _unreadable(file, error) from error
    need_space(total)
    return read_archive(file, name, directory, count_up("read", total, progress))


def _unreadable(file: Path, error: OSError) -> BangerError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        hint = "write it as docker-archive:FILE[:NAME]"
        return BangerError(Code.NOT_FOUND, f"there is no file {file}", hint=hint)
    return BangerError(Code.DENIED, f"cannot read {file}: {error.strerror}")


def _download(
    reference: Reference,
    options: PullOptions,
    progress: OnProgress,
    is_known: IsKnown,
    need_space: NeedSpace,
) -> Pulled:
    download = RegistryDownload(
        reference,
        options.cache,
        lambda here, total: progress("download", here, total),
        auth_file=options.auth_file,
        insecure=options.insecure,
        tell=options.tell,
    )
    options.tell("registry", f"asking {reference.registry} for {reference.familiar}")
    with closing(download):
        manifest, digest = download.manifest()
        if is_known(digest):
            raise AlreadyHere(digest)
        missing = {
            each.digest: each.size
            for each in manifest.layers
            if not options.cache.find(each.digest, each.size)
        }
        # The cache keeps a layer as it comes, and lz4 packs a tree to about twice of what gzip
        # does.
        need_space(sum(missing.values()) + 2 * sum(each.size for each in manifest.layers))
        return download.fetch(manifest, digest)


def _unless_known(image: Pulled, is_known: IsKnown) -> Pulled:
    if is_known(image.digest):
        raise AlreadyHere(image.digest)
    return image
