"""The tree that an image's layers make, one on top of another; no file is touched for it.

Layers are applied as the OCI image specification says (layer.md, "Applying Changesets"), and where
it says nothing as ``umoci unpack`` does. Tests hold both against each other:

- A member replaces what has its name; a directory over a directory changes its metadata only.
- Directories in a member's name may be symbolic links, which are followed inside the image.
- A whiteout removes what lower layers have, not what its own layer has made, in any order.
- A hard link keeps the inode that its target is at that moment.
"""

from collections.abc import Sequence
from typing import NamedTuple

from services.images.oci.flatten.limits import OWNERS, refused, show, too_large
from services.images.oci.flatten.reading.member import LayerMember, MemberKind, Xattrs
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


class NewFile(NamedTuple):
    """A file that a member has made, and where."""

    inode: FileInode
    place: Place
    name: bytes

    @property
    def path(self) -> bytes:
        return b"/".join((*self.place.names, self.name))


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

    def apply(self, member: LayerMember) -> NewFile | None:
        """Apply one member of the layer; returns the file that it is, if it is one.

        Raises:
            BangerError: ``invalid`` for what no image may ask for.
        """
        if not member.path:
            self._describe_root(member)
            return None
        *parents, name = member.path
        if any(part.startswith(WHITEOUT) for part in member.path):
            self._whiteout(member.path, parents, name)
            return None
        self._note_owners(member)
        member.xattrs = kept_xattrs(member, self.notices)
        place = make_place(self.root, parents, name)
        inode = self._put(member, place.directory, name)
        self._mark(place, name)
        return NewFile(inode, place, name) if isinstance(inode, FileInode) else None

    def _describe_root(self, member: LayerMember) -> None:
        if member.kind is not MemberKind.DIRECTORY:
            raise refused("it replaces the root directory by something else")
        self._note_owners(member)
        self.root.take_metadata(member)

    def _put(self, member: LayerMember, folder: DirectoryInode, name: bytes) -> Inode | None:
        before = folder.children.get(name)
        if member.kind is MemberKind.DIRECTORY:
            if isinstance(before, DirectoryInode):
                before.take_metadata(member)
            else:
                folder.children[name] = DirectoryInode(member)
            return None
        folder.children.pop(name, None)
        if member.kind is MemberKind.HARD_LINK:
            folder.children[name] = self._linked(member)
            return None
        if is_left_out(member, self.notices):
            return None
        folder.children[name] = inode = self._new_inode(member)
        return inode

    def _new_inode(self, member: LayerMember) -> Inode:
        # Many files have one date and one set of attributes: they share the objects.
        member.mtime = self._times.setdefault(member.mtime, member.mtime)
        member.xattrs = self._xattrs.setdefault(member.xattrs, member.xattrs)
        return FileInode(member, self._layer) if member.kind is MemberKind.FILE else Inode(member)

    def _linked(self, member: LayerMember) -> Inode:
        *parents, name = member.target.split(b"/")
        place = place_of(self.root, parents)
        inode = place.directory.children.get(name) if place else None
        if inode is None or isinstance(inode, DirectoryInode):
            what = "a directory" if inode else "nothing that is there"
            path = show(b"/".join(member.path))
            raise refused(f"the hard link {path} leads to {what}: {show(member.target)}")
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

    def _note_owners(self, member: LayerMember) -> None:
        self._owners.update((member.uid, member.gid))
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
