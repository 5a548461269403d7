"""The manifests of images and kernels, as far as VMs need them (docs/images.md)."""

import json
from pathlib import Path
from typing import Any

from shared.errors import BangerError, Code


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of an image or a kernel. Raises ``not_found`` with how to find another."""
    try:
        manifest: dict[str, Any] = json.loads((directory / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise BangerError(
            Code.NOT_FOUND,
            f"{directory} is not usable: {error}",
            hint="list what is there: banger image list, banger kernel list",
        ) from error
    return manifest


def image_digest(image: Path) -> str:
    """What the layers of an image are, by their content. Raises as ``read_manifest``."""
    manifest = read_manifest(image)
    below = str(manifest.get("base_digest", ""))
    return f"sha256:{manifest['rootfs']['sha256']}" + (f" on {below}" if below else "")
