"""``oci:DIR[:TAG]``: an image in a directory of the OCI image layout specification.

Blobs are used where they lie, after a look at size and sum. Nothing outside the directory is
opened: a digest is no path, and symbolic links are refused.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec

from services.images.oci.documents import (
    LONGEST_DOCUMENT,
    Descriptor,
    check_digest,
    decode,
    fetch_checked,
    invalid,
)
from services.images.oci.image_config import LONGEST_CONFIG, LayerBlob, Pulled, read_config
from services.images.oci.manifest import choose, for_this_platform
from shared.errors import BangerError, Code
from shared.plain_text import printable

INDEX = "index.json"
REF_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"
_BLOCK = 1 << 20

Locate = Callable[[str], Path]
"""The file that has a name within the layout. Raises ``invalid`` when there is none."""


class _LayoutIndex(msgspec.Struct):
    manifests: list[Descriptor]


def read_directory(directory: Path, tag: str) -> Pulled:
    """The image ``tag`` of a layout, or with "" the only one.

    Raises:
        BangerError: ``not_found``, ``ambiguous``, ``invalid``, ``incompatible``, ``denied``.
    """
    if not directory.is_dir():
        raise BangerError(
            Code.NOT_FOUND,
            f"there is no directory {directory}",
            hint="write it as oci:DIR[:TAG]",
        )
    if not (directory / INDEX).exists():
        raise invalid(f"{directory} has no {INDEX}", "name the directory of an OCI image layout")
    return read_layout(lambda name: directory / name, tag)


def read_layout(locate: Locate, tag: str) -> Pulled:
    """As ``read_directory``, of files that ``locate`` finds."""
    index = decode(read_file(locate(INDEX), LONGEST_DOCUMENT), _LayoutIndex, INDEX)
    found = _select(index.manifests, tag)

    def fetch(descriptor: Descriptor) -> bytes:
        return read_file(locate(_blob_name(descriptor.digest)), LONGEST_CONFIG)

    manifest, digest = choose(fetch_checked(found, fetch), found.media_type, fetch)
    config = fetch_checked(manifest.config, fetch, LONGEST_CONFIG)
    image = read_config(config, len(manifest.layers))
    layers = [
        _layer(locate(_blob_name(layer.digest)), layer, diff_id)
        for layer, diff_id in zip(manifest.layers, image.diff_ids, strict=True)
    ]
    return Pulled(image.config, layers, digest, _name(found))


def read_file(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most ``limit`` bytes. Raises ``invalid``."""
    file = open_regular(path)
    with os.fdopen(file, "rb") as reader:
        content = reader.read(limit + 1)
    if len(content) > limit:
        raise invalid(f"{path.name} has more than {limit >> 20} MiB")
    return content


def open_regular(path: Path) -> int:
    """A descriptor to read a regular file by. Raises ``invalid`` for whatever else is there."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise invalid(f"{path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise invalid(f"{path} is no regular file")
    return file


def _select(manifests: list[Descriptor], tag: str) -> Descriptor:
    tags = sorted({_annotation(each, REF_NAME) for each in manifests} - {""})
    said = printable(", ".join(tags), 300)
    if tag:
        manifests = [each for each in manifests if _annotation(each, REF_NAME) == tag]
        if not manifests:
            raise BangerError(
                Code.NOT_FOUND, f"the layout has no image {tag!r}", hint=f"it has: {said}"
            )
    elif len(tags) > 1:
        raise BangerError(
            Code.AMBIGUOUS, "the layout has several images", hint=f"add :TAG, one of: {said}"
        )
    if len(manifests) == 1:
        return manifests[0]
    return for_this_platform(manifests)


def _annotation(descriptor: Descriptor, key: str) -> str:
    return (descriptor.annotations or {}).get(key, "")


def _name(descriptor: Descriptor) -> str:
    return _annotation(descriptor, _FULL_NAME) or _annotation(descriptor, REF_NAME)


def _blob_name(digest: str) -> str:
    return f"blobs/sha256/{check_digest(digest).removeprefix('sha256:')}"


def _layer(path: Path, layer: Descriptor, diff_id: str) -> LayerBlob:
    found = hashlib.sha256()
    size = 0
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            found.update(block)
            size += len(block)
    if (f"sha256:{found.hexdigest()}", size) != (layer.digest, layer.size):
        raise invalid(f"the content of {layer.digest} is another, or of another size")
    return LayerBlob(path, layer.digest, diff_id, size)
