"""Makes the manifest of an image whose files are in a work directory."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from services.images.library.manifest import (
    ID_LENGTH,
    FileSum,
    ImageManifest,
    Rootfs,
    WorkSeed,
    sum_file,
)
from shared.contract.messages.image import ImageConfig, ImageOrigin

ARCH = "x86_64"
"""The architecture of every image, as ``uname -m`` prints it."""
SQUASHFS = "rootfs.squashfs"
EXT4 = "rootfs.ext4"
SEED = "seed.tar.zst"
"""The names of an image's files."""

_FORMATS: dict[str, Literal["squashfs", "ext4"]] = {SQUASHFS: "squashfs", EXT4: "ext4"}


def describe_image(
    directory: Path,
    name: str,
    source: str,
    *,
    origin: ImageOrigin | None = None,
    config: ImageConfig | None = None,
    base: ImageManifest | None = None,
    kernel: str = "",
    external: Path | None = None,
    blobs: tuple[str, ...] = (),
    rootfs: FileSum | None = None,
) -> ImageManifest:
    """The manifest of the image in ``directory``: of its root filesystem (``rootfs.squashfs`` or
    ``rootfs.ext4``), and of its work seed (``seed.tar.zst``) if it has one.

    ``base``: the image below, of which it holds only the changes. ``external``: where the root
    filesystem really is. ``rootfs``: its sum, if that is known. Reads the files, about 2 ms per
    MiB: too long for an event loop.
    """
    path = next(directory / file for file in _FORMATS if (directory / file).exists())
    seed = directory / SEED
    found = rootfs or sum_file(path)
    manifest = ImageManifest(
        id="",
        name=name,
        arch=ARCH,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=source,
        rootfs=Rootfs(
            file=path.name, format=_FORMATS[path.name], size=found.size, sha256=found.sha256
        ),
        config=config,
        base_digest=base.digest if base else "",
        origin=origin,
        seed=_seed(seed) if seed.exists() else None,
        kernel=kernel,
        external=str(external) if external else "",
        external_mtime_ns=external.stat().st_mtime_ns if external else 0,
        blobs=blobs,
    )
    return with_id(manifest)


def with_id(manifest: ImageManifest) -> ImageManifest:
    """The same with the id that its content has."""
    return replace(manifest, id=manifest.digest.removeprefix("sha256:")[:ID_LENGTH])


def _seed(path: Path) -> WorkSeed:
    found = sum_file(path)
    return WorkSeed(file=path.name, size=found.size, sha256=found.sha256)
