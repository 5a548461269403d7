"""Small published images for the tests: the content is a few bytes instead of a filesystem."""

from pathlib import Path

from services.images.library.manifest import ID_LENGTH, ImageManifest, Rootfs, sum_file
from services.images.library.publish import publish
from services.images.library.scratch import Scratch, scratch


def put(work: Scratch, content: bytes, name: str = "debian") -> ImageManifest:
    """Write a root filesystem of ``content`` into ``work``; returns its manifest."""
    path = work.path / "rootfs.squashfs"
    path.write_bytes(content)
    found = sum_file(path)
    return ImageManifest(
        id=found.sha256[:ID_LENGTH],
        name=name,
        arch="x86_64",
        created="2026-11-22T10:00:00+00:00",
        source="debian:bookworm",
        rootfs=Rootfs(file=path.name, format="squashfs", size=found.size, sha256=found.sha256),
    )


def add(root: Path, content: bytes, name: str = "debian") -> ImageManifest:
    """Publish an image of ``content`` in ``root``."""
    with scratch(root) as work:
        manifest = put(work, content, name)
        publish(work, manifest)
    return manifest
