"""Packs the files of the topmost layer while it is read.

Nothing lies above them, so they are final unless the layer itself replaces one later, which no
known tool does. ``SupersededEarly`` says that it has; the caller then starts over in two passes.
"""

from collections.abc import Callable

from services.images.oci.flatten.reading.byte_stream import ByteStream
from services.images.oci.flatten.tree.inode import DirectoryInode
from services.images.oci.flatten.tree.layer_tree import NewFile
from services.images.oci.flatten.writing.archive_sink import ArchiveSink
from services.images.oci.flatten.writing.file_member import write_file


class SupersededEarly(Exception):
    """What is in the archive already is not what the image has in the end."""


class EarlyContents:
    """Writes files as they come. ``open_sink`` starts the archive: it is called once, when the
    first file or the end is there, since the mode of the root directory has to be known."""

    def __init__(self, root: DirectoryInode, open_sink: Callable[[], ArchiveSink]) -> None:
        self._root = root
        self._open_sink = open_sink
        self._sink: ArchiveSink | None = None
        self._mode = 0
        self._files = 0

    @property
    def sink(self) -> ArchiveSink:
        """The archive, for what is still to come."""
        if self._sink is None:
            self._mode = self._root.mode
            self._sink = self._open_sink()
        return self._sink

    def write(self, new: NewFile, stream: ByteStream) -> None:
        """Write a file whose contents ``stream`` has next."""
        if not new.inode.size:
            return
        path = new.path
        write_file(path, new.inode, stream, self.sink)
        new.inode.written_as = path
        self._files += 1

    def check(self, found: int) -> None:
        """``found``: how many of the files are still there, each under its name.

        Raises:
            SupersededEarly: if one is not, or the root directory has another mode by now.
        """
        if found != self._files or (self._sink and self._root.mode != self._mode):
            raise SupersededEarly
