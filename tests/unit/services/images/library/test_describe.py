"""Manifests of what is in a work directory."""

from pathlib import Path

from services.images.library.describe import describe_image
from services.images.library.manifest import sum_file


def test_an_ext4_file_and_a_work_seed_are_described(tmp_path: Path) -> None:
    (tmp_path / "rootfs.ext4").write_bytes(b"ext4")
    (tmp_path / "seed.tar.zst").write_bytes(b"seed")
    made = describe_image(tmp_path, "web:2", "registered", kernel="mine", blobs=("sha256:1",))
    assert (made.name, made.kernel, made.blobs) == ("web:2", "mine", ("sha256:1",))
    assert (made.rootfs.format, made.rootfs.size) == ("ext4", 4)
    assert made.seed
    assert made.sums()["seed.tar.zst"] == sum_file(tmp_path / "seed.tar.zst")
    assert made.id == made.digest[7:23]


def test_a_sum_that_is_known_is_not_computed_again(tmp_path: Path) -> None:
    (tmp_path / "rootfs.squashfs").write_bytes(b"content")
    known = sum_file(tmp_path / "rootfs.squashfs")
    (tmp_path / "rootfs.squashfs").write_bytes(b"another")
    assert describe_image(tmp_path, "web", "x", rootfs=known).rootfs.sha256 == known.sha256


def test_an_external_file_is_described_with_its_time(tmp_path: Path) -> None:
    outside = tmp_path / "disk.img"
    outside.write_bytes(b"content")
    (tmp_path / "rootfs.squashfs").symlink_to(outside)
    made = describe_image(tmp_path, "web", "x", external=outside)
    assert made.external == str(outside)
    assert made.external_mtime_ns == outside.stat().st_mtime_ns
