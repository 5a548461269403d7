"""Root filesystems are known by their content."""

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from services.images.rootfs.formats import Extent, check_qcow2, find_filesystem, format_of
from shared.errors import BangerError, Code
from tests.unit.services.images.rootfs.disks import ext4, squashfs, tar_of, with_gpt, with_mbr


def test_each_kind_is_known_whatever_its_name(tmp_path: Path) -> None:
    kinds = {
        "squashfs": squashfs(tmp_path / "a.tar"),
        "ext4": ext4(tmp_path / "b.qcow2"),
        "tar": tar_of(tmp_path / "c.img", {"x": b"x"}),
    }
    assert {format_of(path): path for path in kinds.values()} == kinds
    (tmp_path / "d").write_bytes(b"QFI\xfb\0\0\0\x03")
    assert format_of(tmp_path / "d") == "qcow2"
    for magic in (b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"):
        (tmp_path / "e").write_bytes(magic)
        assert format_of(tmp_path / "e") == "tar"


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"PK\3\4", bytes(5000), b"hsq"])
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(BangerError, match="no root filesystem") as raised:
        format_of(tmp_path / "file")
    assert raised.value.code is Code.INVALID


def header(
    version: int = 3, backing: int = 0, size: int = 1 << 30, encrypted: int = 0, features: int = 0
) -> bytes:
    start = struct.pack(">4sIQIIQI", b"QFI\xfb", version, backing, 16, 16, size, encrypted)
    return start.ljust(72, b"\0") + features.to_bytes(8, "big") + bytes(24)


def test_a_qcow2_file_that_is_whole_in_itself_is_taken(tmp_path: Path) -> None:
    for good in (header(), header(version=2, features=1 << 2), header(features=1)):
        (tmp_path / "disk").write_bytes(good)
        check_qcow2(tmp_path / "disk")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (header(backing=1024), Code.INVALID),
        (header(version=2, backing=1024), Code.INVALID),
        (header(features=1 << 2), Code.INVALID),
        (header(version=1), Code.INVALID),
        (header(version=4), Code.INVALID),
        (header(encrypted=1), Code.INVALID),
        (header()[:60], Code.INVALID),
        (header(size=1 << 62), Code.TOO_LARGE),
    ],
    ids=range(8),
)
def test_a_qcow2_file_that_names_others_or_lies_is_refused(
    tmp_path: Path, content: bytes, code: Code
) -> None:
    (tmp_path / "disk").write_bytes(content)
    with pytest.raises(BangerError) as raised:
        check_qcow2(tmp_path / "disk")
    assert raised.value.code is code


@pytest.mark.parametrize("table", [with_mbr, with_gpt])
def test_a_partition_with_a_filesystem_is_found(
    tmp_path: Path, table: Callable[[Path, bytes], Path]
) -> None:
    content = ext4(tmp_path / "fs").read_bytes()
    disk = table(tmp_path / "disk", content)
    with disk.open("rb") as file:
        found = find_filesystem(file, disk.stat().st_size)
    assert found == Extent(2048 * 512, len(content), "ext4")


def test_a_disk_that_is_a_filesystem_is_the_whole(tmp_path: Path) -> None:
    disk = squashfs(tmp_path / "fs")
    with disk.open("rb") as file:
        assert find_filesystem(file, 100) == Extent(0, 100, "squashfs")


GPT = b"\0" * 450 + b"\xee" + b"\0" * 59 + b"\x55\xaa" + b"EFI PART"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(4096),
        bytes(510) + b"\x55\xaa",
        b"\xff" * 510 + b"\x55\xaa",
        GPT,
        GPT + b"\xff" * 84,
        GPT.ljust(584, b"\0") + struct.pack("<QII", 1 << 63, 128, 128) + bytes(100),
        GPT.ljust(584, b"\0") + struct.pack("<QII", 2, 0xFFFFFFFF, 0) + bytes(100),
        GPT.ljust(584, b"\0") + struct.pack("<QII", 2, 4, 128).ljust(440, b"\xff") + b"\xff" * 600,
        os.urandom(510) + b"\x55\xaa" + os.urandom(600),
    ],
    ids=range(10),
)
def test_a_table_that_leads_nowhere_is_refused(content: bytes) -> None:
    with pytest.raises(BangerError) as raised:
        find_filesystem(io.BytesIO(content), len(content))
    assert raised.value.code is Code.INVALID
