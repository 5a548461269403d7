"""Writes members of the archive that sqfstar reads."""

from services.images.oci.flatten.reading.extended_header import XATTR, record
from services.images.oci.flatten.reading.header import BLOCK
from services.images.oci.flatten.reading.member import MemberKind
from services.images.oci.flatten.tree.inode import FileInode, Inode

_TYPES = {
    MemberKind.FILE: b"0",
    MemberKind.HARD_LINK: b"1",
    MemberKind.SYMLINK: b"2",
    MemberKind.CHARACTER_DEVICE: b"3",
    MemberKind.BLOCK_DEVICE: b"4",
    MemberKind.DIRECTORY: b"5",
    MemberKind.FIFO: b"6",
}
_SHORT = 100
"""Bytes of a name that fit into the header."""
_MOST_IN_7_DIGITS = 8**7 - 1
_MOST_IN_11_DIGITS = 8**11 - 1


def member_block(path: bytes, inode: Inode) -> bytes:
    """The header of an inode under its first name, with an extended one when it needs that."""
    size = inode.size if isinstance(inode, FileInode) else 0
    extended = [record(XATTR + name, value) for name, value in inode.xattrs]
    uid = _fitting(b"uid", inode.uid, _MOST_IN_7_DIGITS, extended)
    gid = _fitting(b"gid", inode.gid, _MOST_IN_7_DIGITS, extended)
    told = _fitting(b"size", size, _MOST_IN_11_DIGITS, extended)
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (inode.mode, uid, gid, told, inode.mtime)
    return _block(path, numbers, _TYPES[inode.kind], inode.target, inode.device, extended)


def hard_link_block(path: bytes, target: bytes) -> bytes:
    """The header of another name for a member that came before."""
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (0, 0, 0, 0, 0)
    return _block(path, numbers, _TYPES[MemberKind.HARD_LINK], target, (0, 0), [])


def _fitting(key: bytes, value: int, most: int, extended: list[bytes]) -> int:
    """The value for the header; what does not fit goes into the extended one."""
    if value <= most:
        return value
    extended.append(record(key, b"%d" % value))
    return 0


def _block(
    path: bytes,
    numbers: bytes,
    kind: bytes,
    target: bytes,
    device: tuple[int, int],
    extended: list[bytes],
) -> bytes:
    if len(path) > _SHORT:
        extended.append(record(b"path", path))
    if len(target) > _SHORT:
        extended.append(record(b"linkpath", target))
    header = _summed(path[:_SHORT], numbers, kind, target[:_SHORT], device)
    if not extended:
        return header
    content = b"".join(extended)
    size = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (0o644, 0, 0, len(content), 0)
    above = _summed(b"extended", size, b"x", b"", (0, 0))
    return above + content + bytes(-len(content) % BLOCK) + header


def _summed(
    name: bytes, numbers: bytes, kind: bytes, target: bytes, device: tuple[int, int]
) -> bytes:
    start = name.ljust(_SHORT, b"\0") + numbers
    rest = kind + target.ljust(_SHORT, b"\0") + b"ustar\x0000" + bytes(64)
    end = b"%07o\0%07o\0" % device if device != (0, 0) else b"0000000\x000000000\0"
    total = sum(start) + sum(rest) + sum(end) + 256  # the field itself counts as eight spaces
    return b"".join((start, b"%06o\0 " % total, rest, end, bytes(167)))
