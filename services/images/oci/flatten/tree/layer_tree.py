"""The tree that an image's layers make, one on top of another; no file is touched for it.

Layers are applied as the OCI image specification says (layer.md, "Applying Changesets"), and where
it says nothing as ``umoci unpack`` does. Tests hold both against each other:

- A member replaces what has its name; a directory over a directory changes its metadata only.
- Directories in a member's name may be symbolic links, which are followed inside the image.
- A whiteout removes what lower layers have, not what its own layer has made, in any order.
- A hard link keeps the inode that its target is at that moment.
"""

from collections.abc import Sequence

from services.images.oci.flatten.limits import OWNERS, refused, show, too_large
from services.images.oci.flatten.reading.entry import Entry, Kind, Xattrs
from services.images.oci.flatten.tree.inode import (
    DirectoryInode,
    FileInode,
    Inode,
    implied_directory,
)
from services.images.oci.flatten.tree.place import Place, make_place, place_of
from services.images.oci.flatten.tree.policy import Notices, is_left_out, kept_xattrs

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
_OF_AUFS = b".wh..wh."
"""Names of its own bookkeeping, in layers that AUFS has written."""


class LayerTree:
    """Apply members layer by layer, from the lowest."""

    def __init__(self) -> None:
        self.root = implied_directory()
        self.notices = Notices()
        self._layer = -1
        self._touched: list[DirectoryInode] = []
        self._owners: set[int] = set()
        self._times: dict[int, int] = {}
        self._xattrs: dict[Xattrs, Xattrs] = {}

    def begin_layer(self) -> None:
        """What follows is of the next layer."""
        self._layer += 1
        for directory in self._touched:
            directory.fresh = None
        self._touched.clear()

    def apply(self, entry: Entry) -> None:
        """Apply one member of the layer.

        Raises:
            BangerError: ``invalid`` for what no image may ask for.
        """
        if not entry.path:
            self._describe_root(entry)
            return
        *parents, name = entry.path
        if any(part.startswith(WHITEOUT) for part in entry.path):
            self._whiteout(entry.path, parents, name)
            return
        self._note_owners(entry)
        entry.xattrs = kept_xattrs(entry, self.notices)
        place = make_place(self.root, parents)
        self._put(entry, place, name)
        self._mark(place, name)

    def _describe_root(self, entry: Entry) -> None:
        if entry.kind is not Kind.DIRECTORY:
            raise refused("it replaces the root directory by something else")
        self._note_owners(entry)
        self.root.take_metadata(entry)

    def _put(self, entry: Entry, place: Place, name: bytes) -> None:
        directory = place.directory
        before = directory.children.get(name)
        if entry.kind is Kind.DIRECTORY:
            if isinstance(before, DirectoryInode):
                before.take_metadata(entry)
            else:
                directory.children[name] = DirectoryInode(entry)
            return
        directory.children.pop(name, None)
        if entry.kind is Kind.HARD_LINK:
            directory.children[name] = self._linked(entry)
        elif not is_left_out(entry, self.notices):
            directory.children[name] = self._new_inode(entry)

    def _new_inode(self, entry: Entry) -> Inode:
        # Many files have one date and one set of attributes: they share the objects.
        entry.mtime = self._times.setdefault(entry.mtime, entry.mtime)
        entry.xattrs = self._xattrs.setdefault(entry.xattrs, entry.xattrs)
        return FileInode(entry, self._layer) if entry.kind is Kind.FILE else Inode(entry)

    def _linked(self, entry: Entry) -> Inode:
        *parents, name = entry.target.split(b"/")
        place = place_of(self.root, parents)
        inode = place.directory.children.get(name) if place else None
        if inode is None or isinstance(inode, DirectoryInode):
            what = "a directory" if inode else "nothing that is there"
            path = show(b"/".join(entry.path))
            raise refused(f"the hard link {path} leads to {what}: {show(entry.target)}")
        inode.is_shared = True
        return inode

    def _whiteout(self, path: tuple[bytes, ...], parents: Sequence[bytes], name: bytes) -> None:
        is_opaque = name == OPAQUE
        if any(part.startswith(_OF_AUFS) for part in (parents if is_opaque else path)):
            return
        hidden = name.removeprefix(WHITEOUT)
        if any(part.startswith(WHITEOUT) for part in parents) or hidden in (b"", b".", b".."):
            raise refused(f"the whiteout {show(b'/'.join(path))} hides nothing that can be there")
        place = place_of(self.root, parents)
        if place is None or self._layer == 0:  # all that is there is of this layer
            return
        if is_opaque:
            _hide_all(place.directory)
        else:
            _hide(place.directory, hidden)

    def _mark(self, place: Place, name: bytes) -> None:
        """Note that this layer has made the name, and gone through the directories above it."""
        if self._layer == 0:
            return
        for directory, below in zip(
            reversed(place.directories), (name, *reversed(place.names)), strict=True
        ):
            if directory.fresh is None:
                directory.fresh = set()
                self._touched.append(directory)
            elif below in directory.fresh:
                return
            directory.fresh.add(below)

    def _note_owners(self, entry: Entry) -> None:
        self._owners.update((entry.uid, entry.gid))
        if len(self._owners) > OWNERS:
            raise too_large(f"its files belong to more than {OWNERS} different ids")


def _hide_all(directory: DirectoryInode) -> None:
    """Remove what is in it of lower layers, at any depth."""
    waiting = [directory]
    while waiting:
        each = waiting.pop()
        kept = (_hide(each, name, below=False) for name in list(each.children))
        waiting.extend(filter(None, kept))


def _hide(directory: DirectoryInode, name: bytes, *, below: bool = True) -> DirectoryInode | None:
    """Remove a name that lower layers have made. A directory that this layer has gone through
    stays, and is returned; ``below``: without what lower layers have in it."""
    child = directory.children.get(name)
    if child is None:
        return None
    if directory.fresh is None or name not in directory.fresh:
        del directory.children[name]
        return None
    if not isinstance(child, DirectoryInode):
        return None
    if below:
        _hide_all(child)
    return child
