"""An OCI image layout on disk (image-layout.md of the specification), for programs that read it."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.oci.layers import StoredLayer

_IMAGE = "application/vnd.oci.image"


def write_layout(directory: Path, layers: Sequence[StoredLayer], tag: str = "latest") -> Path:
    """The image of ``layers``, whose blobs are plain archives, in the new ``directory``."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def add(content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        described = {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}
        return described | more

    archives = [add(layer.path.read_bytes(), f"{_IMAGE}.layer.v1.tar") for layer in layers]
    rootfs = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
    config = {"architecture": "amd64", "os": "linux", "rootfs": rootfs, "config": {}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_IMAGE}.manifest.v1+json",
        "config": add(json.dumps(config).encode(), f"{_IMAGE}.config.v1+json"),
        "layers": archives,
    }
    name = {"annotations": {"org.opencontainers.image.ref.name": tag}}
    index = add(json.dumps(manifest).encode(), f"{_IMAGE}.manifest.v1+json", **name)
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return directory
