"""An image from mmdebstrap's stream, packed by the real sqfstar."""

import asyncio
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from services.images.library.describe import SQUASHFS
from services.images.library.manifest import ImageManifest, sum_file
from services.images.library.scratch import scratch
from services.images.sources.debian.build import build_image
from services.images.sources.debian.catalogue import IMAGES
from shared.errors import BangerError, Code
from tests.unit.services.images.sources.debian.machine import BuildMachine, Reports

RECIPE = IMAGES["debian-bookworm"]


def can_pack() -> bool:
    """As in a build: an ordinary user packs as root of a user namespace."""
    as_root = ["unshare", "--user", "--map-root-user", "true"]
    return os.geteuid() == 0 or subprocess.run(as_root, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not can_pack(), reason="users may not make user namespaces here")


def test_a_tree_becomes_a_squashfs_and_its_manifest(machine: BuildMachine, tmp_path: Path) -> None:
    machine.answers({"etc/machine-id": b"", "usr/sbin/sshd": b"ssh"})
    reports = Reports()

    async def build() -> ImageManifest:
        with scratch(tmp_path / "library") as work:
            made = await build_image(RECIPE, "http://mirror.test", work, reports)
            rootfs = work.path / SQUASHFS
            assert made.rootfs.sha256 == sum_file(rootfs).sha256
            rootfs.rename(tmp_path / SQUASHFS)
        return made

    made = asyncio.run(build())
    assert (made.name, made.source, made.arch) == (RECIPE.name, RECIPE.source, "x86_64")
    assert made.rootfs.sha256.startswith(made.id)
    listed = subprocess.run(
        ["unsquashfs", "-lls", str(tmp_path / SQUASHFS)], capture_output=True, text=True, check=True
    )
    assert "squashfs-root/usr/sbin/sshd" in listed.stdout
    assert "drwxr-xr-x root/root" in listed.stdout
    assert reports[-1][0] == "verify"


def test_every_package_is_asked_for_and_looked_for_after(
    machine: BuildMachine, tmp_path: Path
) -> None:
    async def build() -> None:
        with scratch(tmp_path / "library") as work:
            await build_image(RECIPE, "http://mirror.test", work, Reports())

    asyncio.run(build())
    assert f"--include={','.join(RECIPE.packages)}" in machine.asked
    check = next(word for word in machine.asked if "dpkg-query --show" in word)
    assert all(f" {package} " in f"{check} " for package in RECIPE.packages)


def test_a_file_of_the_recipe_is_written_by_a_hook(machine: BuildMachine, tmp_path: Path) -> None:
    recipe = replace(RECIPE, files=(("/etc/made/one.conf", "it's $1 %s"),))

    async def build() -> None:
        with scratch(tmp_path / "library") as work:
            await build_image(recipe, "http://mirror.test", work, Reports())

    asyncio.run(build())
    hook = next(word for word in machine.asked if "one.conf" in word)
    tree = tmp_path / "a tree"
    script = hook.removeprefix("--customize-hook=")
    subprocess.run(["sh", "-c", script, "exec", str(tree)], check=True)
    assert (tree / "etc/made/one.conf").read_text() == "it's $1 %s"


def test_a_failed_build_leaves_nothing(machine: BuildMachine, tmp_path: Path) -> None:
    machine.answers({}, said="E: Failed to fetch http://mirror.test/Packages\n", status=1)

    async def build() -> None:
        with scratch(tmp_path / "library") as work:
            await build_image(RECIPE, "http://mirror.test", work, Reports())

    with pytest.raises(BangerError) as raised:
        asyncio.run(build())
    assert raised.value.code is Code.UNREACHABLE
    assert list((tmp_path / "library").iterdir()) == list(machine.area.iterdir()) == []
