import json
import os
from pathlib import Path

import pytest

from services.images.library import manifest as manifests
from services.images.library.describe import describe_image
from services.images.library.manifest import FileSum, ImageManifest, id_of_files, sum_file
from services.images.library.publish import publish
from services.images.library.scratch import scratch
from shared.contract.messages.image import ImageConfig
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


def test_a_manifest_of_the_first_banger_is_read_and_keeps_its_id(tmp_path: Path) -> None:
    entry = add(tmp_path, b"root filesystem")
    path = tmp_path / entry.id / "manifest.json"
    assert set(json.loads(path.read_text())) == {
        "id", "name", "arch", "created", "source", "rootfs",
    }  # fmt: skip
    assert entry.id == entry.rootfs.sha256[:16]
    assert entry.digest == f"sha256:{entry.rootfs.sha256}"


def test_what_an_image_is_besides_its_files_makes_another_image_of_it(tmp_path: Path) -> None:
    made = [
        add(tmp_path, b"content", "a", **more)
        for more in (
            {},
            {"config": ImageConfig(cmd=["sh"])},
            {"config": ImageConfig(cmd=["sh"], env={"A": "1", "B": "2"})},
            {"kernel": "mine"},
        )
    ]
    assert len({entry.id for entry in made}) == len({entry.digest for entry in made}) == 4
    same = add(tmp_path, b"content", "b", config=ImageConfig(cmd=["sh"], env={"B": "2", "A": "1"}))
    assert same.id == made[2].id
    for entry in made:
        assert manifests.read(tmp_path / entry.id, ImageManifest) == entry


def test_a_manifest_whose_config_was_changed_is_refused(tmp_path: Path) -> None:
    entry = add(tmp_path, b"content", config=ImageConfig(cmd=["sh"]))
    path = tmp_path / entry.id / "manifest.json"
    path.write_text(path.read_text().replace('"sh"', '"id"'))
    with pytest.raises(BangerError, match="of another directory"):
        manifests.read(tmp_path / entry.id, ImageManifest)


def test_a_registered_file_that_was_changed_is_noticed(tmp_path: Path) -> None:
    outside = tmp_path / "disk.img"
    outside.write_bytes(b"content")
    with scratch(tmp_path / "images") as work:
        (work.path / "rootfs.squashfs").symlink_to(outside)
        entry = describe_image(work.path, "mine", "registered", external=outside)
        publish(work, entry)
    directory = tmp_path / "images" / entry.id
    assert manifests.read(directory, ImageManifest) == entry
    outside.write_bytes(b"CONTENT")
    os.utime(outside, ns=(0, 0))
    with pytest.raises(BangerError, match="changed after it was registered"):
        manifests.read(directory, ImageManifest)
