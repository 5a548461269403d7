"""Extended attributes of an inode of ext4 (Documentation/filesystems/ext4/attributes.rst)."""

import struct
from collections.abc import Iterator

from services.images.capture.ext4 import Ext4, Ext4Inode

MAGIC = 0xEA020000
PREFIXES = {1: b"user.", 4: b"trusted.", 6: b"security."}
"""What a squashfs can hold (squashfs_fs.h). Access lists, which are number 2 and 3, it cannot."""
_ENTRY = struct.Struct("<BBHIII")
_BLOCK_HEADER = 32


def attributes(disk: Ext4, inode: Ext4Inode) -> dict[bytes, bytes]:
    """Name and value of each attribute that a squashfs can hold."""
    found: dict[bytes, bytes] = {}
    if len(inode.extra) >= 4 and _magic(inode.extra) == MAGIC:
        found.update(_listed(disk, inode.extra[4:], 0))
    if inode.attribute_block:
        block = disk.read(inode.attribute_block * disk.block_size, disk.block_size)
        if _magic(block) != MAGIC:
            disk.damaged("a block of attributes makes no sense")
        found.update(_listed(disk, block, _BLOCK_HEADER))
    return found


def _magic(area: bytes) -> int:
    return int(struct.unpack_from("<I", area)[0])


def _listed(disk: Ext4, area: bytes, offset: int) -> Iterator[tuple[bytes, bytes]]:
    """The entries from ``offset`` on; their values are at offsets of ``area``."""
    while offset + _ENTRY.size <= len(area) and area[offset : offset + 4] != b"\0\0\0\0":
        length, index, place, inode, size, _ = _ENTRY.unpack_from(area, offset)
        start = offset + _ENTRY.size
        name = area[start : start + length]
        if len(name) < length or inode or place + size > len(area):
            disk.damaged("an attribute makes no sense")
        if index in PREFIXES:
            yield PREFIXES[index] + name, area[place : place + size]
        offset = start + (length + 3 & ~3)
