"""What the image consists of: inodes, which directories give names."""

from services.images.oci.flatten.reading.entry import Entry, Extents, Kind, Xattrs


class Inode:
    """A symbolic link, a pipe or a device, and what every inode has. Small: an image has many."""

    __slots__ = ("device", "gid", "is_shared", "kind", "mode", "mtime", "target", "uid", "xattrs")

    def __init__(self, entry: Entry) -> None:
        self.kind = entry.kind
        self.mode = entry.mode
        self.uid = entry.uid
        self.gid = entry.gid
        self.mtime = entry.mtime
        self.xattrs: Xattrs = entry.xattrs
        self.target = entry.target
        self.device = entry.device
        self.is_shared = False
        """Whether it has, or had, more than one name."""


class FileInode(Inode):
    """A regular file, and where its contents are."""

    __slots__ = ("extents", "layer", "offset", "size", "stored")

    def __init__(self, entry: Entry, layer: int) -> None:
        super().__init__(entry)
        self.layer = layer
        self.offset = entry.offset
        self.size = entry.size
        self.stored = entry.stored
        self.extents: Extents | None = entry.extents


class DirectoryInode(Inode):
    """A directory. ``fresh`` are the names in it that the layer in hand has made or gone through,
    which its whiteouts leave alone."""

    __slots__ = ("children", "fresh")

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry)
        self.children: dict[bytes, Inode] = {}
        self.fresh: set[bytes] | None = None

    def take_metadata(self, entry: Entry) -> None:
        """Become as a later member for the same directory says. What is in it stays."""
        self.mode, self.uid, self.gid = entry.mode, entry.uid, entry.gid
        self.mtime, self.xattrs = entry.mtime, entry.xattrs


def implied_directory() -> DirectoryInode:
    """A directory that no member describes, only the name of a member in it. It gets the same
    date in every flattening."""
    return DirectoryInode(Entry(path=(), kind=Kind.DIRECTORY, mode=0o755, uid=0, gid=0, mtime=0))
