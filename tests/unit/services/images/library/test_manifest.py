from pathlib import Path

import pytest

from services.images.library import manifest as manifests
from services.images.library.manifest import FileSum, ImageManifest, id_of_files, sum_file
from shared.errors import BangerError, Code

from .shelf import add


def test_what_was_published_reads_back(tmp_path: Path) -> None:
    entry = add(tmp_path, b"root filesystem")
    directory = tmp_path / entry.id
    assert manifests.read(directory, ImageManifest) == entry


def test_sums_are_of_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4
    assert sum_file(path) == FileSum(size=3, sha256=expected)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda d: (d / "manifest.json").unlink(), "no readable manifest.json"),
        (lambda d: (d / "manifest.json").write_text("{"), "is not valid"),
        (lambda d: (d / "manifest.json").write_text('{"id": 1}'), "is not valid"),
        (lambda d: (d / "rootfs.squashfs").unlink(), "No such file"),
        (lambda d: (d / "rootfs.squashfs").write_text("x"), "has 1 bytes, not 15"),
    ],
    ids=["no manifest", "not JSON", "wrong type", "no file", "cut short"],
)
def test_a_damaged_directory_says_what_is_wrong(
    tmp_path: Path, damage: "object", problem: str
) -> None:
    entry = add(tmp_path, b"root filesystem")
    assert callable(damage)
    damage(tmp_path / entry.id)
    with pytest.raises(BangerError, match=problem) as raised:
        manifests.read(tmp_path / entry.id, ImageManifest)
    assert raised.value.code is Code.INVALID
    assert entry.id in raised.value.hint


def test_a_directory_under_a_foreign_name_is_refused(tmp_path: Path) -> None:
    entry = add(tmp_path, b"root filesystem")
    (tmp_path / entry.id).rename(tmp_path / "0123456789abcdef")
    with pytest.raises(BangerError, match="of another directory"):
        manifests.read(tmp_path / "0123456789abcdef", ImageManifest)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "manifest.json"])
def test_a_manifest_that_names_a_file_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    entry = add(tmp_path, b"root filesystem")
    path = tmp_path / entry.id / "manifest.json"
    path.write_text(path.read_text().replace("rootfs.squashfs", name))
    with pytest.raises(BangerError, match="outside of it"):
        manifests.read(tmp_path / entry.id, ImageManifest)


def test_a_kernels_id_depends_on_names_and_contents_but_not_on_order() -> None:
    one, two = FileSum(size=1, sha256="1" * 64), FileSum(size=1, sha256="2" * 64)
    identifier = id_of_files({"vmlinuz": one, "vmlinux": two})
    assert identifier == id_of_files({"vmlinux": two, "vmlinuz": one})
    assert identifier != id_of_files({"vmlinuz": two, "vmlinux": one})
    assert len(identifier) == 16
