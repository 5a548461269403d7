"""What kind of root filesystem a file is, by its content. Pure but for reading its start.

squashfs: the magic of its superblock. ext4: s_magic at byte 56 of the superblock, which is at 1024
(the kernel's Documentation/filesystems/ext4/super.rst). qcow2: QEMU's docs/interop/qcow2.txt.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from shared.errors import BangerError, Code

Format = Literal["squashfs", "ext4", "qcow2", "tar"]

_START = 4096
_GZIP, _ZSTD, _SQUASHFS, _QCOW2 = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"hsqs", b"QFI\xfb"
_EXT_MAGIC, _EXT_AT = b"\x53\xef", 1080
_USTAR, _USTAR_AT = b"ustar", 257
_DATA_FILE = 1 << 2
"""The incompatible feature of qcow2 whose contents are in another file."""
LARGEST_DISK = 1 << 40
"""Bytes of a qcow2's disk."""


def format_of(path: Path) -> Format:
    """Raises:
    BangerError: ``invalid`` for a file that is none of these.
    OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_START)
    found = filesystem(start)
    if found:
        return found
    if start.startswith(_QCOW2):
        return "qcow2"
    if start.startswith((_GZIP, _ZSTD)) or start[_USTAR_AT:].startswith(_USTAR):
        return "tar"
    raise BangerError(
        Code.INVALID,
        f"{path} is no root filesystem that banger knows",
        hint="give it a tar (plain, gzip or zstd), squashfs, ext4 or qcow2 file",
    )


def filesystem(start: bytes) -> Literal["squashfs", "ext4"] | None:
    """The filesystem whose first bytes (1082 or more) these are."""
    if start.startswith(_SQUASHFS):
        return "squashfs"
    if start[_EXT_AT:].startswith(_EXT_MAGIC):
        return "ext4"
    return None


def check_qcow2(path: Path) -> None:
    """See that a qcow2 file is whole in itself. One with a backing file or an external data file
    names other files of the host, which its reader would open.

    Raises:
        BangerError: ``invalid``, ``too_large``.
    """
    with path.open("rb") as file:
        header = file.read(104)
    if len(header) < 72:
        raise BangerError(Code.INVALID, f"{path} is damaged: its header is cut off")
    version, backing = struct.unpack_from(">IQ", header, 4)
    size, encrypted = struct.unpack_from(">QI", header, 24)
    features = int.from_bytes(header[72:80], "big") if version >= 3 else 0
    if version not in (2, 3) or encrypted:
        raise BangerError(Code.INVALID, f"{path} is encrypted, or a qcow2 file of another version")
    if backing or features & _DATA_FILE:
        raise BangerError(
            Code.INVALID,
            f"{path} needs another file: it has a backing file or an external data file",
            hint="make one file of both: qemu-img convert -O qcow2 FILE NEW",
        )
    if size > LARGEST_DISK:
        raise BangerError(Code.TOO_LARGE, f"{path} is a disk of {size >> 30} GiB")


@dataclass(frozen=True)
class Extent:
    """Where a filesystem is on a disk, in bytes."""

    start: int
    size: int
    format: Literal["squashfs", "ext4"]


_SECTOR = 512
_MOST_PARTITIONS = 128
_PROTECTIVE, _GPT = 0xEE, b"EFI PART"


def find_filesystem(disk: BinaryIO, size: int) -> Extent:
    """The one filesystem on a raw disk of ``size`` bytes: the whole of it, or its largest
    partition that has one (MBR, or UEFI 2.10, 5.3: GPT).

    Raises:
        BangerError: ``invalid`` when there is none.
    """
    whole = filesystem(_at(disk, 0, _START))
    if whole:
        return Extent(0, size, whole)
    found: list[Extent] = []
    for first, length in _partitions(disk):
        kind = filesystem(_at(disk, first, _START))
        if kind and length > 0 and first + length <= size:
            found.append(Extent(first, length, kind))
    if not found:
        raise BangerError(
            Code.INVALID,
            "the disk has no squashfs or ext4 filesystem",
            hint="only these can be the root of a VM",
        )
    return max(found, key=lambda extent: extent.size)


def _partitions(disk: BinaryIO) -> list[tuple[int, int]]:
    """(first byte, bytes) of each partition."""
    mbr = _at(disk, 0, _SECTOR)
    if mbr[510:512] != b"\x55\xaa":
        return []
    entries = [mbr[446 + 16 * number : 462 + 16 * number] for number in range(4)]
    if any(entry[4] == _PROTECTIVE for entry in entries):
        return _gpt(disk)
    spans = [struct.unpack_from("<II", entry, 8) for entry in entries]
    return [(first * _SECTOR, length * _SECTOR) for first, length in spans if length]


def _gpt(disk: BinaryIO) -> list[tuple[int, int]]:
    header = _at(disk, _SECTOR, 92)
    if header[:8] != _GPT or len(header) < 92:
        return []
    table, count, step = struct.unpack_from("<QII", header, 72)
    if not 128 <= step <= _START:
        return []
    found = []
    for number in range(min(count, _MOST_PARTITIONS)):
        entry = _at(disk, table * _SECTOR + number * step, 128)
        if len(entry) == 128 and any(entry[:16]):
            first, last = struct.unpack_from("<QQ", entry, 32)
            found.append((first * _SECTOR, (last - first + 1) * _SECTOR))
    return found


def _at(disk: BinaryIO, place: int, count: int) -> bytes:
    if place >= LARGEST_DISK:
        return b""
    disk.seek(place)
    return disk.read(count)
