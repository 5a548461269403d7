"""What the image consists of: inodes, which directories give names."""

from services.images.oci.flatten.reading.member import Extents, LayerMember, MemberKind, Xattrs


class Inode:
    """A symbolic link, a pipe or a device, and what every inode has. Small: an image has many."""

    __slots__ = ("device", "gid", "is_shared", "kind", "mode", "mtime", "target", "uid", "xattrs")

    def __init__(self, member: LayerMember) -> None:
        self.kind = member.kind
        self.mode = member.mode
        self.uid = member.uid
        self.gid = member.gid
        self.mtime = member.mtime
        self.xattrs: Xattrs = member.xattrs
        self.target = member.target
        self.device = member.device
        self.is_shared = False
        """Whether it has, or had, more than one name."""


class FileInode(Inode):
    """A regular file, and where its contents are."""

    __slots__ = ("extents", "layer", "offset", "size", "stored", "written_as")

    def __init__(self, member: LayerMember, layer: int) -> None:
        super().__init__(member)
        self.layer = layer
        self.offset = member.offset
        self.size = member.size
        self.stored = member.stored
        self.extents: Extents | None = member.extents
        self.written_as = b""
        """Its name in the archive, once it is there before all layers have been read."""


class DirectoryInode(Inode):
    """A directory. ``fresh`` are the names in it that the layer in hand has made or gone through,
    which its whiteouts leave alone."""

    __slots__ = ("children", "fresh")

    def __init__(self, member: LayerMember) -> None:
        super().__init__(member)
        self.children: dict[bytes, Inode] = {}
        self.fresh: set[bytes] | None = None

    def take_metadata(self, member: LayerMember) -> None:
        """Become as a later member for the same directory says. What is in it stays."""
        self.mode, self.uid, self.gid = member.mode, member.uid, member.gid
        self.mtime, self.xattrs = member.mtime, member.xattrs


def implied_directory() -> DirectoryInode:
    """A directory that no member describes, only the name of a member in it. It gets the same
    date in every flattening."""
    return DirectoryInode(
        LayerMember(path=(), kind=MemberKind.DIRECTORY, mode=0o755, uid=0, gid=0, mtime=0)
    )
