"""Which files a VM gets as drives, from the manifests of its image and of those below."""

import json
from pathlib import Path

import pytest

from services.vm_supervisor.launch.drives import drives_of
from shared.errors import BangerError, Code

STATE = Path("/state")


def image(library: Path, digit: str, below: str = "", **more: object) -> Path:
    """An image whose id is one digit many times, above that of ``below``."""
    directory = library / (digit * 16)
    directory.mkdir()
    base = {"base_digest": f"sha256:{below * 64}"} if below else {}
    manifest = {"rootfs": {"file": "rootfs.squashfs"}, **base, **more}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory


def test_an_image_gets_those_below_it_topmost_first(tmp_path: Path) -> None:
    lowest, middle, top = image(tmp_path, "1"), image(tmp_path, "2", "1"), image(tmp_path, "3", "2")
    drives = drives_of(top, tmp_path / "kernel", STATE)
    assert drives.rootfs == top / "rootfs.squashfs"
    assert drives.bases == (middle / "rootfs.squashfs", lowest / "rootfs.squashfs")


def test_tools_and_seed_are_there_where_kernel_and_image_have_them(tmp_path: Path) -> None:
    plain = drives_of(image(tmp_path, "1"), tmp_path, STATE)
    assert (plain.tools, plain.seed, plain.bases) == (None, None, ())
    (tmp_path / "tools.squashfs").touch()
    seeded = image(tmp_path, "2", seed={"file": "seed.tar.zst"})
    drives = drives_of(seeded, tmp_path, STATE)
    assert drives.tools == tmp_path / "tools.squashfs"
    assert drives.seed == seeded / "seed.tar.zst"


def test_a_stack_that_ends_nowhere_or_never_is_refused(tmp_path: Path) -> None:
    image(tmp_path, "1", "2")
    for top, code in (
        (image(tmp_path, "2", "1"), Code.INVALID),
        (image(tmp_path, "3", "4"), Code.NOT_FOUND),
    ):
        with pytest.raises(BangerError) as caught:
            drives_of(top, tmp_path, STATE)
        assert caught.value.code is code
