"""A kernel from an unpacked package: boot image, modules and indexes by the real tools."""

import asyncio
import gzip
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.images.library.manifest import KernelManifest
from services.images.library.scratch import scratch
from services.images.sources.debian.catalogue import KERNELS
from services.images.sources.debian.kernel import pull_kernel
from shared.errors import BangerError, Code
from tests.unit.services.images.sources.debian.machine import BuildMachine, Reports
from tests.unit.services.images.sources.debian.test_bzimage import KERNEL, boot_image
from tests.unit.services.images.sources.debian.tools_packages import TOOLS

RECIPE = KERNELS["debian-bookworm"]
VERSION = "6.1.0-test"
BOOT_IMAGE = {f"boot/vmlinuz-{VERSION}": boot_image(gzip.compress(KERNEL))}
MODULE = {
    f"lib/modules/{VERSION}/kernel/drivers/virtio.ko.gz": gzip.compress(b"a module"),
    f"lib/modules/{VERSION}/kernel/fs/overlay.ko": b"another",
} | TOOLS


def pull(place: Path, *, keep: Path | None = None) -> KernelManifest:
    """Pull the kernel; its files are moved to ``keep``."""

    async def work() -> KernelManifest:
        with scratch(place) as made:
            manifest = await pull_kernel(RECIPE, "http://mirror.test", made, Reports())
            if keep:
                made.path.rename(keep)
        return manifest

    return asyncio.run(work())


def refusal(machine: BuildMachine, place: Path, files: Mapping[str, bytes]) -> BangerError:
    machine.answers(files)
    with pytest.raises(BangerError) as raised:
        pull(place)
    assert list(place.iterdir()) == []
    return raised.value


def test_a_package_becomes_what_a_vmm_and_an_initrd_need(
    machine: BuildMachine, tmp_path: Path
) -> None:
    machine.answers(BOOT_IMAGE | MODULE)
    manifest = pull(tmp_path / "library", keep=tmp_path / "kernel")
    assert (manifest.name, manifest.version) == (RECIPE.name, VERSION)
    assert sorted(manifest.files) == [
        "initrd-modules.cpio", "modules.squashfs", "tools.squashfs", "vmlinux", "vmlinuz"
    ]  # fmt: skip
    assert (tmp_path / "kernel" / "vmlinux").read_bytes() == KERNEL
    initrd = (tmp_path / "kernel" / "initrd-modules.cpio").read_bytes()
    assert b"modules/virtio.ko\0" in initrd
    assert b"a module" in initrd
    listed = subprocess.run(
        ["unsquashfs", "-ls", str(tmp_path / "kernel" / "modules.squashfs")],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "kernel/fs/overlay.ko" in listed
    assert "modules.dep" in listed


def test_the_same_package_gives_the_same_id(machine: BuildMachine, tmp_path: Path) -> None:
    machine.answers(BOOT_IMAGE | MODULE)
    assert pull(tmp_path / "one").id == pull(tmp_path / "other").id


def test_modules_below_usr_are_found(machine: BuildMachine, tmp_path: Path) -> None:
    below = {f"usr/{name}": data for name, data in MODULE.items() if name.startswith("lib/modules")}
    machine.answers(BOOT_IMAGE | TOOLS | below)
    assert pull(tmp_path / "library").version == VERSION


@pytest.mark.parametrize(
    "files",
    [
        MODULE,
        BOOT_IMAGE | MODULE | {"boot/vmlinuz-6.2.0": b""},
        BOOT_IMAGE | TOOLS | {"lib/modules/6.2.0/modules.order": b""},
        MODULE | {f"boot/vmlinuz-{VERSION}": boot_image(gzip.compress(b"no ELF file"))},
    ],
    ids=["no-kernel", "two-kernels", "other-modules", "no-elf"],
)
def test_a_package_that_is_no_kernel_is_refused_and_leaves_nothing(
    machine: BuildMachine, tmp_path: Path, files: dict[str, bytes]
) -> None:
    assert refusal(machine, tmp_path / "library", files).code is Code.INVALID
