"""How an image is shown. Texts of an image's config are its author's: printed, never more."""

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

from cli.terminal.formatting import show_size, show_time
from cli.terminal.output import Columns

if TYPE_CHECKING:
    from shared.contract.messages.image import Image, ImageConfig, ImageLayer

COLUMNS: "Columns[Image]" = {
    "ID": lambda image: image.id,
    "NAME": lambda image: ", ".join(image.names) or "-",
    "ARCH": lambda image: image.arch,
    "FORMAT": lambda image: image.format,
    "SIZE": lambda image: show_size(image.real_bytes or image.size),
    "CREATED": lambda image: show_time(image.created),
}
_MORE: "Columns[Image]" = {
    "DIGEST": lambda image: image.digest or "-",
    "SOURCE": lambda image: image.source,
    "PATH": lambda image: image.external or image.path,
}
_WHERE_GIVEN: "Columns[Image]" = {
    "PULLED": lambda image: image.origin.digest if image.origin else "",
    "KERNEL": lambda image: image.kernel,
    "WORK SEED": lambda image: show_size(image.seed_bytes) if image.seed_bytes else "",
    "LAYERS": lambda image: ", ".join(map(_layer, image.layers)),
    "USED BY": lambda image: ", ".join(image.users),
}
_CONFIG: "Columns[ImageConfig]" = {
    "ENTRYPOINT": lambda config: shlex.join(config.entrypoint),
    "CMD": lambda config: shlex.join(config.cmd),
    "ENV": lambda config: " ".join(f"{k}={shlex.quote(v)}" for k, v in config.env.items()),
    "WORKDIR": lambda config: config.workdir,
    "USER": lambda config: config.user,
    "EXPOSED": lambda config: ", ".join(config.exposed),
    "VOLUMES": lambda config: ", ".join(config.volumes),
    "LABELS": lambda config: ", ".join(f"{k}={v}" for k, v in config.labels.items()),
    "STOP SIGNAL": lambda config: config.stop_signal,
}


def details_of(image: "Image") -> "Columns[Image]":
    """What ``image show`` prints of this image: what it has no value for is left out."""
    given = {title: of for title, of in _WHERE_GIVEN.items() if of(image)}
    return {**COLUMNS, **_MORE, **given, **(_config(image.config) if image.config else {})}


def _config(config: "ImageConfig") -> "Columns[Image]":
    return {title: _of_config(of) for title, of in _CONFIG.items() if of(config)}


def _of_config(of: "Callable[[ImageConfig], str]") -> "Callable[[Image], str]":
    return lambda image: of(image.config) if image.config else ""


def _layer(layer: "ImageLayer") -> str:
    return f"{layer.name or layer.id} ({show_size(layer.real_bytes)})"
