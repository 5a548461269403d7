"""Container images made for tests, as OCI layouts: layers of any number, compressed or not."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OCI = "application/vnd.oci.image"
SUFFIXES = {"": "", "gzip": "+gzip", "zstd": "+zstd"}


def layer(files: Mapping[str, bytes]) -> bytes:
    """A tar of regular files, the same for the same files."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def compressed(content: bytes, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(content, 1, mtime=0)
    if how == "zstd":
        command = ["zstd", "-q", "-c"]
        return subprocess.run(command, input=content, stdout=subprocess.PIPE, check=True).stdout
    return content


@dataclass
class Layout:
    """An OCI image layout on disk. ``index`` holds what it lists."""

    directory: Path
    index: list[dict[str, Any]] = field(default_factory=list)

    def add(self, content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        """Store a blob; returns its descriptor."""
        blobs = self.directory / "blobs/sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        digest = digest_of(content)
        (blobs / digest.removeprefix("sha256:")).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)} | more

    def add_document(self, document: object, media_type: str, **more: Any) -> dict[str, Any]:
        return self.add(json.dumps(document).encode(), media_type, **more)

    def add_image(
        self,
        layers: Sequence[bytes],
        *,
        how: str = "gzip",
        config: Mapping[str, Any] | None = None,
        architecture: str = "amd64",
    ) -> dict[str, Any]:
        """Store an image; returns the descriptor of its manifest, with its platform."""
        platform = {"architecture": architecture, "os": "linux"}
        document = {
            **platform,
            "config": dict(config or {}),
            "rootfs": {"type": "layers", "diff_ids": [digest_of(each) for each in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": self.add_document(document, f"{OCI}.config.v1+json"),
            "layers": [
                self.add(compressed(each, how), f"{OCI}.layer.v1.tar{SUFFIXES[how]}")
                for each in layers
            ],
        }
        return self.add_document(manifest, f"{OCI}.manifest.v1+json", platform=platform)

    def add_index(self, manifests: Sequence[dict[str, Any]]) -> dict[str, Any]:
        document = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json"}
        return self.add_document({**document, "manifests": list(manifests)}, f"{OCI}.index.v1+json")

    def tag(self, descriptor: dict[str, Any], tag: str) -> None:
        """List it under a name, and write the index."""
        named = {"annotations": {"org.opencontainers.image.ref.name": tag}}
        self.index.append(descriptor | named)
        self.write()

    def write(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        document = {"schemaVersion": 2, "manifests": self.index}
        (self.directory / "index.json").write_text(json.dumps(document))
