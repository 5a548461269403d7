"""Documents of images, read with limits: descriptors, manifests, and what checks them.

OCI image specification: descriptor.md, manifest.md; Docker's "image manifest version 2, schema 2"
has the same fields under other media types. All of it was written by others. A document has a limit
in bytes, is checked by the digest that names it, and becomes structs here or an error that says
what is wrong with it.
"""

import hashlib
from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec

from services.images.oci.reference import is_digest
from shared.errors import BangerError, Code
from shared.plain_text import printable

LONGEST_DOCUMENT = 4 << 20
"""Bytes of a manifest or an index; registries have to take as much (distribution specification,
"Pushing manifests")."""
MOST_OCI_LAYERS = 1000
_LARGEST_LAYER = 1 << 40

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
ACCEPTED = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)

Text = Annotated[str, msgspec.Meta(max_length=1 << 16)]
"""A text in a field of a document, with its limit in characters."""
_Size = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST_LAYER)]


class Platform(msgspec.Struct, frozen=True):
    architecture: Text = ""
    os: Text = ""
    variant: Text = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    """Of content: media type, digest and size in bytes (descriptor.md)."""

    media_type: Text
    digest: Text
    size: _Size
    platform: Platform | None = None
    annotations: dict[str, Text] | None = None


class ManifestDocument(msgspec.Struct, frozen=True, rename="camel"):
    """A manifest; layers are in the order in which they are applied."""

    config: Descriptor
    layers: Annotated[list[Descriptor], msgspec.Meta(max_length=MOST_OCI_LAYERS)]
    schema_version: int = 0
    media_type: Text = ""


Fetch = Callable[[Descriptor], bytes]
"""The content of a descriptor. The reader checks size and digest."""
Document = TypeVar("Document")


def fetch_checked(descriptor: Descriptor, fetch: Fetch, limit: int = LONGEST_DOCUMENT) -> bytes:
    """What the descriptor names. Raises ``invalid`` when it is another, too long, or no SHA-256."""
    check_digest(descriptor.digest)
    if descriptor.size > limit:
        raise invalid(f"{descriptor.digest} has {descriptor.size} bytes; {limit} are allowed")
    content = fetch(descriptor)
    check_content(content, descriptor.digest)
    if len(content) != descriptor.size:
        raise invalid(f"{descriptor.digest} has {len(content)} bytes, not {descriptor.size}")
    return content


def check_content(content: bytes, digest: str) -> None:
    """Raise ``invalid`` unless ``digest`` is that of ``content``."""
    if digest_of(content) != digest:
        raise invalid(f"the content of {digest} is another: {digest_of(content)}")


def check_digest(digest: str) -> str:
    """Raise ``invalid`` unless it is a whole SHA-256: it names a file here."""
    if not is_digest(digest):
        raise invalid(f"{printable(digest, 100)!r} is no SHA-256")
    return digest


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def decode(content: bytes, kind: type[Document], what: str) -> Document:
    """JSON as ``kind``. Raises ``invalid``, which says that ``what`` is not valid and why."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"its {what} is not valid: {printable(str(error), 300)}") from None


def invalid(problem: str, hint: str = "") -> BangerError:
    """The error for an image that cannot be used."""
    return BangerError(Code.INVALID, f"not a valid image: {problem}", hint=hint)
