"""Indexes, manifests and configurations of images: read with limits, and held to their schema.

OCI image specification: image-index.md, manifest.md, config.md, descriptor.md; Docker's "image
manifest version 2, schema 2" has the same fields under other media types. All of it was written by
others. A document has a limit in bytes, is checked by the digest that names it, and becomes structs
here or an error that says what is wrong with it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from services.images.oci.reference import is_digest
from shared.contract.messages.image import ImageConfig
from shared.errors import BangerError, Code
from shared.plain_text import printable

LONGEST_DOCUMENT = 4 << 20
"""Bytes of a manifest or an index; registries have to take as much (distribution specification,
"Pushing manifests")."""
LONGEST_CONFIG = 16 << 20
DEEPEST_INDEX = 3
"""How many indexes may stand one in another. A circle would need a collision of SHA-256, so this
is about patience."""
MOST_OCI_LAYERS = 1000
_MOST_MANIFESTS = 10_000
LARGEST_LAYER = 1 << 40

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
ACCEPTED = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)
_CONFIGS = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    }
)
LAYERS = frozenset(
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

_Text = Annotated[str, msgspec.Meta(max_length=1 << 16)]
_Size = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_LAYER)]


class Platform(msgspec.Struct, frozen=True):
    architecture: _Text = ""
    os: _Text = ""
    variant: _Text = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    """Of content: media type, digest and size in bytes (descriptor.md)."""

    media_type: _Text
    digest: _Text
    size: _Size
    platform: Platform | None = None
    annotations: dict[str, _Text] | None = None


class _Index(msgspec.Struct, rename="camel"):
    manifests: Annotated[list[Descriptor], msgspec.Meta(max_length=_MOST_MANIFESTS)]
    schema_version: int = 0
    media_type: _Text = ""


class ManifestDocument(msgspec.Struct, frozen=True, rename="camel"):
    """A manifest; layers are in the order in which they are applied."""

    config: Descriptor
    layers: Annotated[list[Descriptor], msgspec.Meta(max_length=MOST_OCI_LAYERS)]
    schema_version: int = 0
    media_type: _Text = ""


class _Kind(msgspec.Struct, rename="camel"):
    """What a document says it is."""

    schema_version: int = 0
    media_type: _Text = ""
    manifests: msgspec.Raw = msgspec.Raw(b"null")
    layers: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def has_manifests(self) -> bool:
        return bytes(self.manifests) != b"null"

    @property
    def has_layers(self) -> bool:
        return bytes(self.layers) != b"null"


class _RunConfig(msgspec.Struct, rename="pascal"):
    user: _Text | None = ""
    exposed_ports: dict[str, Any] | None = None
    env: list[_Text] | None = None
    entrypoint: list[_Text] | _Text | None = None
    cmd: list[_Text] | _Text | None = None
    volumes: dict[str, Any] | None = None
    working_dir: _Text | None = ""
    labels: dict[str, _Text] | None = None
    stop_signal: _Text | None = ""


class _Rootfs(msgspec.Struct):
    diff_ids: Annotated[list[_Text], msgspec.Meta(max_length=MOST_OCI_LAYERS)]


class _ImageDocument(msgspec.Struct):
    rootfs: _Rootfs
    architecture: _Text = ""
    os: _Text = ""
    config: _RunConfig | None = None


@dataclass(frozen=True)
class LayerBlob:
    """One layer on this host. ``digest`` is of the file, ``diff_id`` of the tar stream in it."""

    path: Path
    digest: str
    diff_id: str
    size: int


@dataclass(frozen=True)
class Pulled:
    """An image whose content is here: how it wants to be run, and its layers, lowest first."""

    config: ImageConfig
    layers: list[LayerBlob]
    digest: str
    """Of its manifest."""
    name: str = ""
    """What the archive or the directory it was found in calls it."""


@dataclass(frozen=True)
class ImageContent:
    """What an image's configuration says: how to run it, and the sum of each layer's tar."""

    config: ImageConfig
    diff_ids: list[str] = field(default_factory=list)


Fetch = Callable[[Descriptor], bytes]
"""The content of a descriptor. The reader checks size and digest."""
Document = TypeVar("Document")


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


def read_config(content: bytes, layers: int) -> ImageContent:
    """The configuration of an image that has so many layers.

    Raises:
        BangerError: ``invalid``; ``incompatible`` for another platform.
    """
    document = decode(content, _ImageDocument, "configuration")
    platform = (document.os or "linux", document.architecture or "amd64")
    if platform != ("linux", "amd64"):
        name = printable("/".join(platform), 100)
        raise BangerError(Code.INCOMPATIBLE, f"the image is for {name}, not for linux/amd64")
    diff_ids = document.rootfs.diff_ids
    if len(diff_ids) != layers:
        raise invalid(f"it has {layers} layers, and its configuration tells of {len(diff_ids)}")
    for diff_id in diff_ids:
        check_digest(diff_id)
    return ImageContent(_how_to_run(document.config or _RunConfig()), diff_ids)


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


def _manifest(content: bytes) -> ManifestDocument:
    document = decode(content, ManifestDocument, "manifest")
    if document.config.media_type not in _CONFIGS:
        kind = printable(document.config.media_type, 100)
        raise invalid(f"it holds {kind!r}, not a container image")
    for layer in document.layers:
        check_digest(layer.digest)
        if layer.media_type not in LAYERS:
            raise invalid(f"a layer is of the kind {printable(layer.media_type, 100)!r}")
    return document


def _how_to_run(config: _RunConfig) -> ImageConfig:
    parts = [variable.partition("=") for variable in config.env or []]
    found: dict[str, Any] = {
        "entrypoint": _words(config.entrypoint),
        "cmd": _words(config.cmd),
        "env": {name: value for name, _, value in parts if name},
        "workdir": config.working_dir or "",
        "user": config.user or "",
        "exposed": sorted(config.exposed_ports or {}),
        "volumes": sorted(config.volumes or {}),
        "labels": config.labels or {},
        "stop_signal": config.stop_signal or "",
    }
    if any("\0" in word for word in (*found["entrypoint"], *found["cmd"], *found["env"].values())):
        raise invalid("its configuration has a NUL in a word of the command")
    try:
        return msgspec.convert(found, ImageConfig)
    except msgspec.ValidationError as error:
        raise invalid(f"its configuration is too large: {printable(str(error), 300)}") from None


def _words(words: list[str] | str | None) -> list[str]:
    """Old builders wrote a command as one text, which a shell runs."""
    if isinstance(words, str):
        return ["/bin/sh", "-c", words] if words else []
    return words or []
