"""A library of its own for a group that makes and deletes images: the user's is not touched."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from shared.config import DefaultsConfig
from shared.contract.names import ID_LENGTHS
from shared.paths import Paths

DEV_IMAGE = "debian-bookworm-dev"
"""Taken along when the user has built it: that costs minutes, so the suite does not."""


def fill(user: Paths, own: Paths) -> None:
    """Give ``own`` what scenarios boot: the user's default image and kernel, under these names.

    An image is no more than its directory and its name, so the files can be shared.
    """
    defaults = DefaultsConfig()
    for name in (defaults.image, DEV_IMAGE):
        _take(user.images, own.images, name)
    _take(user.kernels, own.kernels, defaults.kernel)


def _take(library: Path, into: Path, name: str) -> None:
    link = library / "by-name" / name
    (into / "by-name").mkdir(parents=True, exist_ok=True)
    if not link.exists():
        return
    directory = link.resolve()
    for each in [directory, *_below(directory, library)]:
        if not (into / each.name).exists():
            shutil.copytree(each, into / each.name, copy_function=_share, symlinks=True)
    (into / "by-name" / name).symlink_to(link.readlink())


def _below(directory: Path, library: Path) -> list[Path]:
    """The images that an image lies on."""
    found: list[Path] = []
    while base := str(_manifest(directory).get("base_digest") or ""):
        directory = library / base.removeprefix("sha256:")[: ID_LENGTHS["an image"]]
        found.append(directory)
    return found


def _manifest(directory: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((directory / "manifest.json").read_text())
    return manifest


def _share(source: str, target: str) -> None:
    """A second name for a file, or a copy: on another disk, and of another user's file."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
