"""An image and a kernel of a few bytes, published as real ones are, and the stand-in programs."""

import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from services.images.library.manifest import (
    ID_LENGTH,
    FileSum,
    ImageManifest,
    KernelManifest,
    Rootfs,
    id_of_files,
    sum_file,
)
from shared.paths import Paths

ROOT = Path(__file__).parents[2]
NAME = "debian-bookworm"
"""The default image and kernel: with these there, nothing is ever built."""
_MADE: dict[str, Any] = {"name": NAME, "arch": "x86_64", "created": "2026-11-22T10:00:00+00:00"}


def stock(paths: Paths) -> None:
    """Put the default image and kernel into the data directory."""
    _put(paths.images, {"rootfs.squashfs": b"image"}, _image)
    kernel = ("vmlinuz", "vmlinux", "modules.squashfs", "initrd-modules.cpio")
    _put(paths.kernels, {name: name.encode() for name in kernel}, _kernel)


def _put(library: Path, content: dict[str, bytes], describe: Any) -> None:
    work = library / "work"
    work.mkdir(parents=True)
    for name, data in content.items():
        (work / name).write_bytes(data)
    manifest = describe({name: sum_file(work / name) for name in content})
    (work / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    work.rename(library / manifest.id)
    (library / "by-name").mkdir()
    (library / "by-name" / NAME).symlink_to(f"../{manifest.id}")


def _image(sums: dict[str, FileSum]) -> ImageManifest:
    ((file, found),) = sums.items()
    rootfs = Rootfs(file=file, format="squashfs", size=found.size, sha256=found.sha256)
    return ImageManifest(
        id=found.sha256[:ID_LENGTH], source="debian:bookworm", rootfs=rootfs, **_MADE
    )


def _kernel(sums: dict[str, FileSum]) -> KernelManifest:
    source = "debian:bookworm/linux-image"
    return KernelManifest(
        id=id_of_files(sums), version="6.1.0-scripted", source=source, files=sums, **_MADE
    )


def install(directory: Path) -> Path:
    """Put ``ssh`` and ``qemu-system-x86_64`` into ``directory``; returns the latter's path.

    The shell that sets the module path is replaced by Python: the pid is QEMU's.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "ssh").symlink_to(Path(__file__).with_name("ssh"))
    qemu = directory / "qemu-system-x86_64"
    qemu.write_text(
        f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -S -m tests.scripted.qemu "$@"\n'
    )
    qemu.chmod(0o755)
    return qemu


def environment(directory: Path) -> dict[str, str]:
    """What services need so that they find the ``ssh`` that ``install`` put there."""
    return {
        "PATH": f"{directory}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "BANGER_TEST_PYTHON": sys.executable,
    }


def configuration(qemu: Path, more: str = "") -> str:
    """config.toml for scripted guests; ``more`` comes first, as keys of the top level must."""
    return f'{more}\nqemu_bin = "{qemu}"\naccel = "tcg"\n[dns]\nport = 0\n'
