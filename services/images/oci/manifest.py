"""The manifest of an image for this platform, found through the indexes that lead to it.

OCI image specification: image-index.md, manifest.md, and Docker's equivalents.
"""

from typing import Annotated

import msgspec

from services.images.oci.documents import (
    INDEXES,
    LONGEST_DOCUMENT,
    MANIFESTS,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Fetch,
    ManifestDocument,
    Text,
    check_digest,
    decode,
    digest_of,
    fetch_checked,
    invalid,
)
from shared.errors import BangerError, Code
from shared.plain_text import printable

DEEPEST_INDEX = 3
"""How many indexes may stand one in another. A circle would need a collision of SHA-256, so this
is about patience."""
_MOST_MANIFESTS = 10_000

_CONFIGS = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    }
)
_LAYERS = frozenset(
    {
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    }
)
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"


class _Index(msgspec.Struct, rename="camel"):
    manifests: Annotated[list[Descriptor], msgspec.Meta(max_length=_MOST_MANIFESTS)]
    schema_version: int = 0
    media_type: Text = ""


class _Kind(msgspec.Struct, rename="camel"):
    """What a document says it is."""

    schema_version: int = 0
    media_type: Text = ""
    manifests: msgspec.Raw = msgspec.Raw(b"null")
    layers: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def has_manifests(self) -> bool:
        return bytes(self.manifests) != b"null"

    @property
    def has_layers(self) -> bool:
        return bytes(self.layers) != b"null"


def choose(
    content: bytes, media_type: str, fetch: Fetch, *, depth: int = 0
) -> tuple[ManifestDocument, str]:
    """The manifest for linux/amd64 and its digest, found through the indexes that lead to it.

    ``content`` is what was asked for; ``media_type`` is what its source calls it, "" for unknown.

    Raises:
        BangerError: ``invalid`` for what is no such document, ``incompatible`` when there is none
            for this platform, and what ``fetch`` raises.
    """
    kind = kind_of(content, media_type)
    if kind in MANIFESTS:
        return _manifest(content), digest_of(content)
    if depth >= DEEPEST_INDEX:
        raise invalid(f"more than {DEEPEST_INDEX} indexes stand one in another")
    found = for_this_platform(decode(content, _Index, "index").manifests)
    return choose(fetch_checked(found, fetch), found.media_type, fetch, depth=depth + 1)


def kind_of(content: bytes, media_type: str = "") -> str:
    """The media type of a document: what it says itself, else its source, else its fields.

    Raises:
        BangerError: ``invalid`` when it is neither an index nor a manifest, or both.
    """
    if len(content) > LONGEST_DOCUMENT:
        raise invalid(f"a manifest of more than {LONGEST_DOCUMENT >> 20} MiB")
    kind = decode(content, _Kind, "manifest")
    media_type = media_type.partition(";")[0].strip().lower()
    if kind.schema_version == 1 or media_type.startswith(_SCHEMA_1):
        raise invalid("it has Docker's old manifest, schema 1", "push it again with a newer tool")
    if kind.has_manifests and kind.has_layers:
        raise invalid("a document is index and manifest at once")
    named = kind.media_type or media_type
    by_fields = OCI_INDEX if kind.has_manifests else OCI_MANIFEST
    if named not in INDEXES | MANIFESTS:
        if kind.media_type or not (kind.has_manifests or kind.has_layers):
            raise invalid(f"{printable(named, 100)!r} is no manifest of an image")
        return by_fields
    if (named in INDEXES) != (by_fields == OCI_INDEX):
        raise invalid(f"a document is called {named}, and is not")
    return named


def for_this_platform(manifests: list[Descriptor]) -> Descriptor:
    """The first for linux/amd64, or the only one when it names no platform.

    Raises:
        BangerError: ``incompatible`` with the platforms that there are.
    """
    known = [each for each in manifests if each.media_type in MANIFESTS | INDEXES]
    for each in known:
        if each.platform and (each.platform.os, each.platform.architecture) == ("linux", "amd64"):
            return each
    unnamed = [each for each in known if each.platform is None]
    if len(unnamed) == 1:
        return unnamed[0]
    there = sorted({str(each.platform) for each in known if each.platform})
    raise BangerError(
        Code.INCOMPATIBLE,
        "the image is not for linux/amd64",
        hint=printable(f"it is for: {', '.join(there)}", 500) if there else "",
    )


def _manifest(content: bytes) -> ManifestDocument:
    document = decode(content, ManifestDocument, "manifest")
    if document.config.media_type not in _CONFIGS:
        kind = printable(document.config.media_type, 100)
        raise invalid(f"it holds {kind!r}, not a container image")
    for layer in document.layers:
        check_digest(layer.digest)
        if layer.media_type not in _LAYERS:
            raise invalid(f"a layer is of the kind {printable(layer.media_type, 100)!r}")
    return document
