"""Archives as they are written."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from services.images.archive.writing import write_archive
from shared.errors import BangerError, Code
from tests.unit.services.images.library.shelf import add


def test_tar_and_zstd_read_what_is_written(tmp_path: Path) -> None:
    root = tmp_path / "images"
    base = add(root, b"base" * 1000, "base")
    top = add(root, b"top", "top", base=base)
    read: list[int] = []
    output = tmp_path / "x.tar.zst"
    size = write_archive([top, base], lambda image: root / image.id, output, read.append)
    assert size == output.stat().st_size
    assert sum(read) == 4003
    subprocess.run(["zstd", "-dq", output, "-o", tmp_path / "x.tar"], check=True)
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert tar.getnames() == [
            "banger-image.json",
            f"{base.id}/rootfs.squashfs",
            f"{top.id}/rootfs.squashfs",
        ]
        member = tar.extractfile(f"{base.id}/rootfs.squashfs")
        assert member
        assert member.read() == b"base" * 1000


def test_an_image_that_was_damaged_since_is_not_written(tmp_path: Path) -> None:
    root = tmp_path / "images"
    image = add(root, b"content", "web")
    (root / image.id / "rootfs.squashfs").write_bytes(b"CONTENT")
    with pytest.raises(BangerError, match="another content") as raised:
        write_archive([image], lambda each: root / each.id, tmp_path / "x")
    assert raised.value.code is Code.INVALID


def test_a_file_that_cannot_be_written_is_denied(tmp_path: Path) -> None:
    image = add(tmp_path / "images", b"content", "web")
    with pytest.raises(BangerError) as raised:
        write_archive([image], lambda each: tmp_path / "images" / each.id, tmp_path / "no" / "x")
    assert raised.value.code is Code.DENIED


def test_a_full_disk_says_so(tmp_path: Path) -> None:
    image = add(tmp_path / "images", b"content", "web")
    with pytest.raises(BangerError) as raised:
        write_archive([image], lambda each: tmp_path / "images" / each.id, Path("/dev/full"))
    assert raised.value.code is Code.NO_SPACE
