"""Writes files of an ext4 as a tar archive (pax, POSIX.1-2017 pax(1)) into a pipe.

Extended attributes are SCHILY.xattr records, as GNU tar and libarchive write them and sqfstar reads
them. The kernel moves the contents from the disk's file into the pipe.
"""

import os
import stat
import tarfile
from collections.abc import Callable, Iterable

from services.images.capture.ext4 import Ext4, Ext4Inode
from services.images.capture.layer import LayerEntry

BLOCK = 512
_SHORT_LINK = 100
_ZEROS = bytes(1 << 20)
_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}
"""Sockets are left out: nobody listens any more."""
_LINKED = (tarfile.REGTYPE, tarfile.SYMTYPE)
"""Of other files each name gets one of its own: all whiteouts of an overlay are one inode."""


def write_tar(
    disk: Ext4, entries: Iterable[LayerEntry], output: int, progress: Callable[[int], None]
) -> int:
    """Write ``entries`` into the descriptor ``output``; returns the bytes of their contents.

    ``progress`` gets those that are written so far. The root has no entry of its own. Raises
    BrokenPipeError, and BangerError as ``Ext4``.
    """
    names: dict[int, bytes] = {}
    written = 0
    for entry in entries:
        inode, kind = entry.inode, _TYPES.get(stat.S_IFMT(entry.inode.mode))
        if not entry.path or kind is None:
            continue
        first = None
        if inode.links > 1 and kind in _LINKED:
            first = names.setdefault(inode.number, entry.path)
        header = _header(disk, entry, kind, None if first == entry.path else first)
        _write(output, _encoded(header))
        if header.type == tarfile.REGTYPE and inode.size:
            _write_content(disk, inode, output)
            written += inode.size
            progress(written)
    _write(output, bytes(2 * BLOCK))
    return written


def _header(disk: Ext4, entry: LayerEntry, kind: bytes, first: bytes | None) -> tarfile.TarInfo:
    inode = entry.inode
    header = tarfile.TarInfo(os.fsdecode(entry.path))
    header.mode, header.uid, header.gid = stat.S_IMODE(inode.mode), inode.uid, inode.gid
    header.mtime, header.type = inode.mtime, kind
    if first is not None:
        header.type, header.linkname = tarfile.LNKTYPE, os.fsdecode(first)
        return header
    if kind == tarfile.REGTYPE:
        header.size = inode.size
    elif kind == tarfile.SYMTYPE:
        header.linkname = os.fsdecode(disk.link_target(inode))
    elif kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        header.devmajor, header.devminor = inode.device
    header.pax_headers = {
        "SCHILY.xattr." + _text(name): _text(value) for name, value in entry.attributes.items()
    }
    return header


def _encoded(header: tarfile.TarInfo) -> bytes:
    """The blocks of a header. A symbolic link gets its target as GNU tar writes it (type K) where
    pax would: sqfstar 4.5 takes the slash away that a pax "linkpath" begins with."""
    before, target = b"", header.linkname.encode("utf-8", "surrogateescape")
    if header.type == tarfile.SYMTYPE and (len(target) > _SHORT_LINK or not target.isascii()):
        long = tarfile.TarInfo("././@LongLink")
        long.type, long.size = tarfile.GNUTYPE_LONGLINK, len(target) + 1
        before = long.tobuf(tarfile.USTAR_FORMAT) + target + bytes(1 + -long.size % BLOCK)
        header.linkname = ""
    return before + header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _write_content(disk: Ext4, inode: Ext4Inode, output: int) -> None:
    for extent in disk.extents(inode):
        left, position = extent.length, extent.position
        while left:
            if position is None:
                _write(output, _ZEROS[: min(left, len(_ZEROS))])
                left -= min(left, len(_ZEROS))
                continue
            moved = os.sendfile(output, disk.fileno(), position, min(left, 1 << 30))
            if not moved:
                disk.damaged("it is shorter than it was")
            left -= moved
            position += moved
    _write(output, bytes(-inode.size % BLOCK))


def _write(output: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(output, view) :]
