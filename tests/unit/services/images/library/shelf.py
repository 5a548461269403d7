"""Small published images for the tests: the content is a few bytes instead of a filesystem."""

from pathlib import Path
from typing import Any

from services.images.library.describe import describe_image
from services.images.library.manifest import ImageManifest
from services.images.library.publish import publish
from services.images.library.scratch import Scratch, scratch


def put(work: Scratch, content: bytes, name: str = "debian", **more: Any) -> ImageManifest:
    """Write a root filesystem of ``content`` into ``work``; returns its manifest."""
    (work.path / "rootfs.squashfs").write_bytes(content)
    return describe_image(work.path, name, "debian:bookworm", **more)


def add(root: Path, content: bytes, name: str = "debian", **more: Any) -> ImageManifest:
    """Publish an image of ``content`` in ``root``. ``more``: as of ``describe_image``."""
    with scratch(root) as work:
        manifest = put(work, content, name, **more)
        publish(work, manifest)
    return manifest
