"""An image whose content is on this host: how it wants to be run, and its layers.

OCI image specification: config.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from services.images.oci.documents import MOST_OCI_LAYERS, Text, check_digest, decode, invalid
from shared.contract.messages.image import ImageConfig
from shared.errors import BangerError, Code
from shared.plain_text import printable

LONGEST_CONFIG = 16 << 20
"""Bytes of a configuration."""


class _RunConfig(msgspec.Struct, rename="pascal"):
    user: Text | None = ""
    exposed_ports: dict[str, Any] | None = None
    env: list[Text] | None = None
    entrypoint: list[Text] | Text | None = None
    cmd: list[Text] | Text | None = None
    volumes: dict[str, Any] | None = None
    working_dir: Text | None = ""
    labels: dict[str, Text] | None = None
    stop_signal: Text | None = ""


class _Rootfs(msgspec.Struct):
    diff_ids: Annotated[list[Text], msgspec.Meta(max_length=MOST_OCI_LAYERS)]


class _ImageDocument(msgspec.Struct):
    rootfs: _Rootfs
    architecture: Text = ""
    os: Text = ""
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
    diff_ids: list[str]


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
