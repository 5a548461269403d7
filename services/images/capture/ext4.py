"""Reads an ext4 filesystem that a guest has written, without mounting it and without root.

Whoever writes the disk is hostile, and the C programs for it were not made for that. This reader
has limits on all that it follows, and never leaves the file. It reads what mke2fs makes for a VM's
disks and what a kernel of Linux does to it later (Documentation/filesystems/ext4). It refuses what
it does not know, and a journal that has to be replayed.
"""

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

from shared.errors import BangerError, Code

ROOT_INODE = 2
MAGIC = 0xEF53
EXTENTS_FLAG = 0x80000

_HAS_FILE_TYPES, _NEEDS_RECOVERY = 0x2, 0x4
_USES_EXTENTS, _IS_64_BIT = 0x40, 0x80
_KNOWN = _HAS_FILE_TYPES | _USES_EXTENTS | _IS_64_BIT | 0x200 | 0x2000 | 0x4000
"""flex_bg, metadata_csum_seed and large_dir change nothing for a reader."""
_EXTENT_MAGIC = 0xF30A
_MOST_EXTENTS = 1 << 20
"""Of one file; a file of 4 TiB in pieces of 4 MiB has as many."""
_DEEPEST = 5
"""Levels of a tree of extents (ext4_extents.h, EXT4_MAX_EXTENT_DEPTH)."""
_LARGEST_DIRECTORY = 256 << 20
_LONGEST_LINK = 4095


class Extent(NamedTuple):
    """``length`` bytes of a file from ``at`` on are at ``position`` of the disk; None for zeros."""

    at: int
    length: int
    position: int | None


@dataclass(frozen=True)
class Ext4Inode:
    """What an inode says. ``mtime`` is in seconds, ``block`` its 60 bytes of i_block."""

    number: int
    mode: int
    uid: int
    gid: int
    size: int
    links: int
    mtime: int
    flags: int
    block: bytes
    attribute_block: int
    extra: bytes
    """What follows the fields: attributes, or nothing."""

    @property
    def device(self) -> tuple[int, int]:
        """Major and minor number of a device node."""
        old, new = struct.unpack_from("<II", self.block)
        if old:
            return old >> 8 & 0xFF, old & 0xFF
        return (new & 0xFFF00) >> 8, (new & 0xFF) | (new >> 12 & 0xFFF00)


class Ext4:
    """One filesystem in a file. A context manager: it closes the file."""

    def __init__(self, path: Path) -> None:
        """Raises ``conflict`` when it was not unmounted, ``invalid`` for anything else."""
        self.path = path
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            self._length = os.fstat(self._file).st_size
            self._read_superblock(self.read(1024, 1024))
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> "Ext4":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def fileno(self) -> int:
        return self._file

    def read(self, position: int, count: int) -> bytes:
        """Exactly ``count`` bytes of the disk."""
        if position < 0 or count < 0 or position + count > self._length:
            self.damaged("it points outside of itself")
        data = os.pread(self._file, count, position)
        if len(data) != count:
            self.damaged("it is shorter than it was")
        return data

    def damaged(self, what: str) -> NoReturn:
        """Raise ``invalid``."""
        raise BangerError(
            Code.INVALID, f"the filesystem in {self.path} is damaged: {what}",
            hint="start the VM and stop it: its kernel repairs what it can",
        )  # fmt: skip

    def _read_superblock(self, block: bytes) -> None:
        (magic,) = struct.unpack_from("<H", block, 0x38)
        if magic != MAGIC:
            self.damaged("it has no superblock of ext4")
        (self._inodes,) = struct.unpack_from("<I", block)
        first_block, log_size = struct.unpack_from("<I", block, 0x14)[0], block[0x18]
        (self._inodes_per_group,) = struct.unpack_from("<I", block, 0x28)
        self._inode_size, features = struct.unpack_from("<H6xI", block, 0x58)
        self._refuse_features(features)
        wide = bool(features & _IS_64_BIT)
        self._descriptor_size = struct.unpack_from("<H", block, 0xFE)[0] if wide else 32
        sizes_fit = log_size <= 6 and self._inode_size in (128, 256, 512, 1024, 2048, 4096)
        if not sizes_fit or not self._inodes_per_group or not 32 <= self._descriptor_size <= 1024:
            self.damaged("its superblock makes no sense")
        self.block_size = 1024 << log_size
        self._descriptors = (first_block + 1) * self.block_size

    def _refuse_features(self, features: int) -> None:
        if features & _NEEDS_RECOVERY:
            raise BangerError(
                Code.CONFLICT,
                f"the filesystem in {self.path} was not unmounted: the VM was killed",
                hint="start the VM and stop it, then try again",
            )
        if unknown := features & ~_KNOWN:
            raise BangerError(
                Code.INCOMPATIBLE,
                f"the filesystem in {self.path} has features that banger does not read: "
                f"{unknown:#x}",
            )

    # -- inodes -----------------------------------------------------------------------------

    def inode(self, number: int) -> Ext4Inode:
        """Raises ``invalid`` for one that is not there."""
        if not 0 < number <= self._inodes:
            self.damaged(f"there is no inode {number}")
        group, index = divmod(number - 1, self._inodes_per_group)
        size = self._descriptor_size
        descriptor = self.read(self._descriptors + group * size, size)
        (table,) = struct.unpack_from("<I", descriptor, 8)
        if size >= 64:
            table |= struct.unpack_from("<I", descriptor, 0x28)[0] << 32
        raw = self.read(table * self.block_size + index * self._inode_size, self._inode_size)
        return _decoded(number, raw)

    # -- contents ---------------------------------------------------------------------------

    def extents(self, inode: Ext4Inode) -> Iterator[Extent]:
        """The whole file, in order and without gaps; each extent is inside of the disk."""
        if not inode.flags & EXTENTS_FLAG:
            self.damaged(f"inode {inode.number} has no extents")
        at, left = 0, _MOST_EXTENTS
        for first, count, start in self._leaves(inode.block, None, 0):
            begin, end = first * self.block_size, (first + count) * self.block_size
            left -= 1
            if begin < at or not left:
                self.damaged(f"the extents of inode {inode.number} are in disorder")
            begin, end = min(begin, inode.size), min(end, inode.size)
            if begin > at:
                yield Extent(at, begin - at, None)
            at = max(at, begin)
            if end > begin:
                position = None if start is None else start * self.block_size
                if position is not None and position + end - begin > self._length:
                    self.damaged("it points outside of itself")
                yield Extent(begin, end - begin, position)
                at = end
        if at < inode.size:
            yield Extent(at, inode.size - at, None)

    def _leaves(
        self, node: bytes, depth: int | None, level: int
    ) -> Iterator[tuple[int, int, int | None]]:
        """(first block of the file, blocks, first block of the disk or None for zeros)."""
        magic, entries, _most, found = struct.unpack_from("<HHHH", node)
        expected = found if depth is None else depth
        if magic != _EXTENT_MAGIC or found != expected or found > _DEEPEST or level > _DEEPEST:
            self.damaged("a node of extents makes no sense")
        if 12 + entries * 12 > len(node):
            self.damaged("a node of extents is too long")
        for offset in range(12, 12 + entries * 12, 12):
            if found:
                _, low, high = struct.unpack_from("<IIH", node, offset)
                child = self.read((high << 32 | low) * self.block_size, self.block_size)
                yield from self._leaves(child, found - 1, level + 1)
            else:
                first, count, high, low = struct.unpack_from("<IHHI", node, offset)
                if count > 0x8000:  # allocated, never written
                    yield first, count - 0x8000, None
                else:
                    yield first, count, high << 32 | low

    def content(self, inode: Ext4Inode, most: int) -> bytes:
        """All of a small file. Raises ``invalid`` for one of more than ``most`` bytes."""
        if inode.size > most:
            self.damaged(f"inode {inode.number} has {inode.size} bytes")
        pieces = []
        for extent in self.extents(inode):
            if extent.position is None:
                pieces.append(bytes(extent.length))
            else:
                pieces.append(self.read(extent.position, extent.length))
        return b"".join(pieces)

    def link_target(self, inode: Ext4Inode) -> bytes:
        """Where a symbolic link points. Short ones are in the inode itself."""
        if not inode.flags & EXTENTS_FLAG:
            if inode.size > len(inode.block):
                self.damaged(f"inode {inode.number} is a link without a target")
            return inode.block[: inode.size]
        return self.content(inode, _LONGEST_LINK)

    def entries(self, inode: Ext4Inode) -> dict[bytes, int]:
        """The names in a directory without "." and "..", and their inodes. A directory with an
        index (htree) reads as one without: the blocks of the index look empty."""
        if not stat.S_ISDIR(inode.mode):
            self.damaged(f"inode {inode.number} is no directory")
        content = self.content(inode, _LARGEST_DIRECTORY)
        found: dict[bytes, int] = {}
        for start in range(0, len(content), self.block_size):
            self._block_entries(content[start : start + self.block_size], found)
        return found

    def _block_entries(self, block: bytes, found: dict[bytes, int]) -> None:
        offset = 0
        while offset + 8 <= len(block):
            number, length, name_length = struct.unpack_from("<IHB", block, offset)
            length = length if length not in (0, 0xFFFF) else 1 << 16  # a block of 64 KiB
            name = block[offset + 8 : offset + 8 + name_length]
            if length < 8 + name_length or length % 4 or offset + length > len(block):
                self.damaged("a directory makes no sense")
            offset += length
            if not number or name in (b".", b".."):
                continue
            if not name or b"/" in name or b"\0" in name or name in found:
                self.damaged("a directory holds a name that cannot be")
            found[name] = number


def _decoded(number: int, raw: bytes) -> Ext4Inode:
    mode, uid, size, mtime, gid, links = struct.unpack_from("<HHI8xI4xHH", raw)
    flags, block = struct.unpack_from("<I4x60s", raw, 0x20)
    acl, size_high = struct.unpack_from("<II", raw, 0x68)
    acl_high, uid_high, gid_high = struct.unpack_from("<HHH", raw, 0x76)
    seconds, extra = mtime - (mtime >> 31 << 32), b""
    if len(raw) > 128:
        (extra_size,) = struct.unpack_from("<H", raw, 0x80)
        extra = raw[128 + extra_size :]
        if extra_size >= 12:
            seconds += (struct.unpack_from("<I", raw, 0x88)[0] & 3) << 32
    return Ext4Inode(
        number=number,
        mode=mode,
        uid=uid_high << 16 | uid,
        gid=gid_high << 16 | gid,
        size=size_high << 32 | size,
        links=links,
        mtime=seconds,
        flags=flags,
        block=block,
        attribute_block=acl_high << 32 | acl,
        extra=extra,
    )
