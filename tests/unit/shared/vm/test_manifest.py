"""Manifests of images and kernels, as VMs read them."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.errors import BangerError, Code
from shared.vm.manifest import image_digest, read_manifest


def image(directory: Path, **more: Any) -> Path:
    manifest = {"rootfs": {"file": "rootfs.squashfs", "sha256": "ab12"}, **more}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory


def test_the_digest_of_an_image_is_that_of_all_its_layers(tmp_path: Path) -> None:
    assert image_digest(image(tmp_path)) == "sha256:ab12"
    assert image_digest(image(tmp_path, base_digest="sha256:cd")) == "sha256:ab12 on sha256:cd"


@pytest.mark.parametrize("text", [None, "{", "\udcff"])
def test_one_that_is_not_there_is_not_usable(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BangerError, match="is not usable") as refused:
        read_manifest(tmp_path)
    assert refused.value.code is Code.NOT_FOUND
