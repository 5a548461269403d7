"""A group's library has the user's images, and the user's has nothing of the group."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from scripts.smoke import own_library
from shared.paths import Paths


def paths(root: Path) -> Paths:
    return Paths(config=root, data=root / "data", state=root, run=root)


def publish(library: Path, name: str, base: Path | None = None) -> Path:
    digest = hashlib.sha256(name.encode()).hexdigest()
    directory = library / digest[:16]
    directory.mkdir(parents=True)
    below = f"sha256:{hashlib.sha256(b'low').hexdigest()}" if base else ""
    (directory / "manifest.json").write_text(json.dumps({"base_digest": below}))
    (directory / "rootfs.squashfs").write_text(name)
    (library / "by-name").mkdir(exist_ok=True)
    (library / "by-name" / name).symlink_to(f"../{directory.name}")
    return directory


@pytest.mark.parametrize("linked", [True, False])
def test_images_are_shared_with_what_they_lie_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    user, own = paths(tmp_path / "user"), paths(tmp_path / "own")
    low = publish(user.images, "low")
    default = publish(user.images, "debian-bookworm", base=low)
    publish(user.images, "other")
    publish(user.kernels, "debian-bookworm")
    if not linked:

        def refused(_from: str, _to: str) -> None:
            raise OSError

        monkeypatch.setattr(os, "link", refused)
    own_library.fill(user, own)
    assert {each.name for each in own.images.iterdir()} == {"by-name", low.name, default.name}
    assert (own.kernels / "by-name" / "debian-bookworm" / "rootfs.squashfs").exists()
    taken = own.images / "by-name" / "debian-bookworm" / "rootfs.squashfs"
    assert taken.samefile(default / "rootfs.squashfs") is linked
    (own.images / "by-name" / "debian-bookworm").unlink()
    assert (user.images / "by-name" / "debian-bookworm").exists()
