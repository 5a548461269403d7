"""Kernels of users, by the real tools."""

import asyncio
import gzip
import subprocess
from pathlib import Path

import pytest

from services.images.library.library import Library
from services.images.library.manifest import KernelManifest
from services.images.library.publish import publish
from services.images.library.scratch import scratch
from services.images.sources.kernel_directory import import_kernel
from shared.errors import BangerError, Code
from tests.unit.services.images.sources.debian.machine import Reports
from tests.unit.services.images.sources.debian.test_bzimage import KERNEL, boot_image

VERSION = "6.1.0-mine"


def library(tmp_path: Path) -> Library[KernelManifest]:
    return Library(tmp_path / "kernels", KernelManifest, "kernel")


def imported(tmp_path: Path, directory: Path, name: str = "mine") -> KernelManifest:
    async def work() -> KernelManifest:
        kernels = library(tmp_path)
        with scratch(kernels.root) as made:
            manifest = await import_kernel(directory, name, kernels, made, Reports())
            publish(made, manifest)
        return manifest

    return asyncio.run(work())


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A directory as a build of a kernel leaves it."""
    directory = tmp_path / "mine"
    modules = directory / "lib" / "modules" / VERSION
    (modules / "kernel" / "fs").mkdir(parents=True)
    (modules / "kernel" / "fs" / "overlay.ko").write_bytes(b"a module")
    (modules / "build").symlink_to("/usr/src")
    (directory / f"vmlinuz-{VERSION}").write_bytes(boot_image(gzip.compress(KERNEL)))
    return directory


def refusal(tmp_path: Path, directory: Path) -> BangerError:
    with pytest.raises(BangerError) as raised:
        imported(tmp_path, directory)
    assert library(tmp_path).entries() == ([], [])
    assert list((tmp_path / "kernels").iterdir()) == []
    return raised.value


def test_a_boot_image_and_modules_become_a_kernel(tmp_path: Path, mine: Path) -> None:
    made = imported(tmp_path, mine)
    assert (made.version, made.source, made.name) == (VERSION, "directory:mine", "mine")
    assert set(made.files) == {"vmlinuz", "vmlinux", "modules.squashfs", "initrd-modules.cpio"}
    assert library(tmp_path).find("mine") == made
    path = library(tmp_path).path_of(made) / "modules.squashfs"
    listing = subprocess.run(["unsquashfs", "-ls", path], capture_output=True, text=True).stdout
    assert "kernel/fs/overlay.ko" in listing
    assert "build" not in listing
    assert (mine / f"vmlinuz-{VERSION}").exists()


def test_tools_come_from_a_kernel_that_has_them(tmp_path: Path, mine: Path) -> None:
    first = imported(tmp_path, mine)
    (library(tmp_path).path_of(first) / "tools.squashfs").write_bytes(b"tools")
    second = imported(tmp_path, mine, "second")
    assert "tools.squashfs" in second.files


def test_a_published_directory_is_the_same_kernel_on_another_machine(
    tmp_path: Path, mine: Path
) -> None:
    made = imported(tmp_path, mine)
    published = (tmp_path / "kernels").rename(tmp_path / "elsewhere") / made.id
    again = imported(tmp_path, published, "other")
    assert (again.id, again.files, again.name) == (made.id, made.files, "other")


def test_a_published_directory_that_was_changed_is_refused(tmp_path: Path, mine: Path) -> None:
    made = imported(tmp_path, mine)
    published = (tmp_path / "kernels").rename(tmp_path / "elsewhere") / made.id
    (published / "vmlinux").write_bytes(KERNEL[::-1])
    assert refusal(tmp_path, published).code is Code.INVALID
    manifest = published / "manifest.json"
    text = manifest.read_text()
    for bad in (
        text.replace("vmlinux", "../vmlinux"),
        text.replace(made.files["vmlinuz"].sha256, "0" * 64),
        "{",
    ):
        manifest.write_text(bad)
        assert refusal(tmp_path, published).code is Code.INVALID


@pytest.mark.parametrize("damage", ["no image", "two images", "no modules", "two versions"])
def test_what_is_no_kernel_is_refused(tmp_path: Path, mine: Path, damage: str) -> None:
    image, modules = mine / f"vmlinuz-{VERSION}", mine / "lib" / "modules"
    if damage == "no image":
        image.unlink()
    elif damage == "two images":
        (mine / "vmlinuz").write_bytes(b"")
    elif damage == "no modules":
        modules.rename(mine / "elsewhere")
    else:
        (modules / "6.2").mkdir()
    error = refusal(tmp_path, mine)
    assert error.code is Code.INVALID
    assert "modules/VERSION" in error.hint


def test_a_boot_image_that_is_none_is_refused(tmp_path: Path, mine: Path) -> None:
    (mine / f"vmlinuz-{VERSION}").write_bytes(b"no kernel" * 1000)
    assert refusal(tmp_path, mine).code is Code.INVALID


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, tmp_path / "missing").code is Code.INVALID
