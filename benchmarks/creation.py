"""``vm create`` from a large image against a small one: all VMs of an image share it."""

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.harness.measure import Figure, NotHere, paired
from benchmarks.harness.product import installed
from shared.host.programs import find_program
from tests.home import Home

SMALL, LARGE = 100 << 20, 2 << 30
"""Bytes of an image's one file, which does not compress."""
RUNS = 20
REGISTER_SECONDS = 300.0
PIECE = 1 << 20


def figures(*, smoke: bool) -> list[Figure]:
    if find_program("mksquashfs") is None:
        raise NotHere("it needs mksquashfs")
    runs, large = (1, 2 * PIECE) if smoke else (RUNS, LARGE)
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp", prefix="bgr") as directory,
        installed() as home,
        contextlib.ExitStack() as cleanup,
    ):
        for name, size in (("bench-small", min(SMALL, large)), ("bench-large", large)):
            register(home, name, image_of(Path(directory, name), size))
            cleanup.callback(home.banger, "image", "delete", name)
        measured, reference = paired(
            lambda: home.banger("vm", "create", "--no-start", "--name", "a", "--image=bench-large"),
            lambda: home.banger("vm", "create", "--no-start", "--name", "b", "--image=bench-small"),
            runs=runs,
            warm_up=1,
            before=lambda: home.banger("vm", "delete", "a", "b", check=False),
        )
        home.banger("vm", "delete", "a", "b")
    name = f"vm create from an image of {large / 1e9:.2g} GB"
    return [Figure(name, "s", measured, reference, "from one of 0.1 GB", runs, bar=1.2)]


def image_of(place: Path, size: int) -> Path:
    """A squashfs with one file of ``size`` bytes."""
    tree = place / "tree"
    tree.mkdir(parents=True)
    with (tree / "data").open("wb") as file:
        for _ in range(size // PIECE):
            file.write(os.urandom(PIECE))
    image = place / "rootfs.squashfs"
    plain = ("-noI", "-noD", "-noF", "-noX", "-all-root", "-quiet", "-no-progress")
    subprocess.run(["mksquashfs", tree, image, *plain], check=True, stdout=subprocess.DEVNULL)
    (tree / "data").unlink()
    return image


def register(home: Home, name: str, rootfs: Path) -> None:
    home.banger("image", "register", name, "--rootfs", str(rootfs), timeout=REGISTER_SECONDS)
