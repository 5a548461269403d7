"""Entries as a tar stream: the pax format of POSIX.1-2001, and GNU tar's format 1.0 of holes.

See "Storing Sparse Files" in GNU tar's manual. Owners are left out: the session's user owns what
is copied into a guest.
"""

import tarfile

from cli.guest.transfer.archive_entry import EntryKind, TreeEntry

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
XATTR = "SCHILY.xattr."

_TYPES = {
    EntryKind.FILE: tarfile.REGTYPE,
    EntryKind.DIRECTORY: tarfile.DIRTYPE,
    EntryKind.LINK: tarfile.SYMTYPE,
    EntryKind.HARD_LINK: tarfile.LNKTYPE,
}


def header(entry: TreeEntry, root: tuple[str, ...]) -> bytes:
    """What precedes the content of ``entry``, whose source is called ``root`` in the archive."""
    name = "/".join((".", *root, *entry.path))
    info = tarfile.TarInfo(name)
    info.type = _TYPES[entry.kind]
    info.mode = entry.mode
    pax = {"mtime": _decimal(entry.mtime)}
    for attribute, value in entry.xattrs.items():
        pax[XATTR + attribute] = value.decode("utf-8", "surrogateescape")
    map_ = b""
    if entry.kind is EntryKind.LINK:
        info.linkname = entry.link
    elif entry.kind is EntryKind.HARD_LINK:
        info.linkname = "/".join((".", *root, *entry.original))
    elif entry.kind is EntryKind.FILE:
        map_ = _sparse(info, entry, pax)
    info.pax_headers = pax
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + map_


def padding(entry: TreeEntry) -> bytes:
    """What follows the content, up to a whole block."""
    return bytes(-sum(length for _, length in entry.segments) % BLOCK)


def _sparse(info: tarfile.TarInfo, entry: TreeEntry, pax: dict[str, str]) -> bytes:
    """Describe the content in ``info`` and ``pax``; returns the map of a file with holes."""
    stored = sum(length for _, length in entry.segments)
    if stored == entry.size:
        info.size = stored
        return b""
    numbers = [number for segment in (*entry.segments, (entry.size, 0)) for number in segment]
    text = "".join(f"{number}\n" for number in (len(entry.segments) + 1, *numbers)).encode()
    map_ = text + bytes(-len(text) % BLOCK)
    pax |= {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": info.name,
        "GNU.sparse.realsize": str(entry.size),
    }
    info.name = "./GNUSparseFile.0/content"
    info.size = len(map_) + stored
    return map_


def _decimal(nanoseconds: int) -> str:
    seconds, rest = divmod(abs(nanoseconds), 10**9)
    return f"{'-' if nanoseconds < 0 else ''}{seconds}.{rest:09d}"
