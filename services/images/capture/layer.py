"""What a VM has changed, as a layer for the VMs to come: the upper directory of its overlay.

A layer is read by overlayfs as a lower directory (Documentation/filesystems/overlayfs.rst), so
whiteouts (character devices 0/0), ``trusted.overlay.opaque`` and ``trusted.overlay.redirect`` stay.
What overlayfs notes of the layers below by their file handles does not hold elsewhere and goes, and
so does what makes the VM the machine that it is.
"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from services.images.capture.attributes import attributes
from services.images.capture.ext4 import ROOT_INODE, Ext4, Ext4Inode
from shared.errors import BangerError, Code

UPPER = b"upper"
"""The directory in the system overlay, as guest/rootfs/init makes it."""
RECORDS = b"var/lib/banger"
"""Where guest/rootfs/start keeps what it has written into files of the owner."""

MOST_ENTRIES = 2_000_000
MOST_BYTES = 64 << 30
"""Of all contents together. Holes count: they come out as zeros."""
_LONGEST_PATH = 4096

_OF_THIS_HOST = frozenset(
    {b"trusted.overlay.origin", b"trusted.overlay.impure", b"trusted.overlay.nlink"}
    | {b"trusted.overlay.upper", b"trusted.overlay.uuid"}
)
_WRITTEN_AT_BOOT = (b"etc/hostname", b"etc/hosts", b"etc/resolv.conf")
"""Left out unless their owner has edited them."""
_LEFT_OUT = frozenset(
    {RECORDS, b"etc/machine-id", b"etc/pam.d/banger-sshd", b"var/lib/dbus/machine-id"}
    | {b"var/lib/systemd/random-seed", b"lost+found"}
)
_EMPTIED = (b"dev", b"proc", b"run", b"sys", b"tmp", b"root", b"var/log/journal")
"""Directories of which nothing but themselves is kept; /root is the work disk."""
_IDENTITY_PREFIX = b"etc/ssh/ssh_host_"


@dataclass(frozen=True)
class LayerEntry:
    """A file of a layer; ``path`` is relative to its root, "" for that."""

    path: bytes
    inode: Ext4Inode
    attributes: dict[bytes, bytes]


def layer_entries(disk: Ext4) -> Iterator[LayerEntry]:
    """The files of a VM's system overlay that belong into a layer, directories before what is in
    them, the root first.

    Raises:
        BangerError: ``invalid`` for a damaged filesystem, ``conflict`` for one that was not
            unmounted, ``not_found`` for a VM that never ran, ``too_large``.
    """
    top = disk.entries(disk.inode(ROOT_INODE)).get(UPPER)
    if top is None:
        raise BangerError(
            Code.NOT_FOUND, "the VM has never run: it has changed nothing",
            hint="start it, change what the image is to have, and stop it",
        )  # fmt: skip
    edited = _edited(disk, disk.inode(top))
    for entry in tree_entries(disk, top):
        if _belongs(entry.path, edited):
            kept = {n: v for n, v in entry.attributes.items() if n not in _OF_THIS_HOST}
            yield LayerEntry(entry.path, entry.inode, kept)


def tree_entries(disk: Ext4, top: int) -> Iterator[LayerEntry]:
    """All files from the directory ``top`` (an inode's number) on, itself first. Raises ``invalid``
    and ``too_large``."""
    todo, directories = [(b"", top)], set[int]()
    entries = size = 0
    while todo:
        path, number = todo.pop()
        inode = disk.inode(number)
        entries += 1
        if stat.S_ISREG(inode.mode):
            size += inode.size
        if entries > MOST_ENTRIES or size > MOST_BYTES:
            raise BangerError(
                Code.TOO_LARGE,
                f"the layer has more than {MOST_ENTRIES} files or {MOST_BYTES >> 30} GiB",
            )
        yield LayerEntry(path, inode, attributes(disk, inode))
        if stat.S_ISDIR(inode.mode):
            if number in directories:
                disk.damaged("a directory is in two places")
            directories.add(number)
            todo += _children(disk, path, inode)


def _children(disk: Ext4, path: bytes, inode: Ext4Inode) -> Iterator[tuple[bytes, int]]:
    for name, number in sorted(disk.entries(inode).items(), reverse=True):
        child = path + b"/" + name if path else name
        if len(child) > _LONGEST_PATH:
            disk.damaged("a path is longer than any can be")
        yield child, number


def _belongs(path: bytes, edited: frozenset[bytes]) -> bool:
    if path in _WRITTEN_AT_BOOT:
        return path in edited
    if path in _LEFT_OUT or path.startswith((RECORDS + b"/", _IDENTITY_PREFIX)):
        return False
    return not any(path.startswith(directory + b"/") for directory in _EMPTIED)


def _edited(disk: Ext4, top: Ext4Inode) -> frozenset[bytes]:
    """Which of the files that every boot writes are not as it has left them."""
    edited = set()
    for path in _WRITTEN_AT_BOOT:
        written = _text(disk, top, RECORDS + b"/" + path.rpartition(b"/")[2])
        if written is None or _text(disk, top, path) != written:
            edited.add(path)
    return frozenset(edited)


def _text(disk: Ext4, top: Ext4Inode, path: bytes) -> bytes | None:
    """The content of a small file; None when there is none."""
    inode = top
    for name in path.split(b"/"):
        number = disk.entries(inode).get(name) if stat.S_ISDIR(inode.mode) else None
        if number is None:
            return None
        inode = disk.inode(number)
    if not stat.S_ISREG(inode.mode) or inode.size > 1 << 16:
        return None
    return disk.content(inode, 1 << 16)
