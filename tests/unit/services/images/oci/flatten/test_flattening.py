"""Layers to a squashfs, read by unsquashfs."""

import subprocess
from pathlib import Path

import pytest

from services.images.oci.flatten.flattening import flatten
from tests.oci.layers import (
    Compression,
    directory,
    file,
    hard_link,
    header,
    stored,
    whiteout,
    xattrs,
)


def listed(image: Path) -> list[str]:
    argv = ["unsquashfs", "-lln", str(image)]
    lines = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    return [f"{line.split()[0]} {line.split()[1]} {line.split()[-1]}" for line in lines]


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_an_image_has_owners_modes_and_links(compression: Compression, tmp_path: Path) -> None:
    layers = stored(
        tmp_path / "blobs",
        [
            [directory(b".", mode=0o711), file(b"a", b"1", uid=70_000), file(b"gone", b"2")],
            [
                whiteout(b"gone"),
                hard_link(b"b", b"a"),
                file(b"s", b"x", mode=0o6755, gid=3000),
                header(b"dev/sda", b"4", device=(8, 0)),
                xattrs((b"trusted.overlay.opaque", b"y")) + directory(b"d"),
            ],
        ],
        compression,
    )
    said: list[tuple[str, int, int]] = []
    notices = flatten(layers, tmp_path / "image", progress=lambda *words: said.append(words))
    assert listed(tmp_path / "image") == [
        "drwx--x--x 0/0 squashfs-root",
        "-rw-r--r-- 70000/0 squashfs-root/a",
        "-rw-r--r-- 70000/0 squashfs-root/b",
        "drwxr-xr-x 0/0 squashfs-root/d",
        "drwxr-xr-x 0/0 squashfs-root/dev",
        "-rwsr-sr-x 0/3000 squashfs-root/s",
    ]
    assert len(notices) == 2
    assert said[-1] == ("pack", 1, 1)


def test_no_layers_are_an_empty_image(tmp_path: Path) -> None:
    flatten([], tmp_path / "image")
    assert listed(tmp_path / "image") == ["drwxr-xr-x 0/0 squashfs-root"]


def test_depth_and_length_of_names_are_those_of_linux(tmp_path: Path) -> None:
    deep = b"/".join([b"d" * 200] * 20)[:4096]
    layers = stored(tmp_path / "blobs", [[b"".join((long_name(deep), file(b"x", b"deep")))]])
    flatten(layers, tmp_path / "image")
    assert len(listed(tmp_path / "image")) == 21


def long_name(name: bytes) -> bytes:
    return header(b"././@LongLink", b"L", size=len(name)) + name + bytes(-len(name) % 512)
