"""The second pass: the flattened image as one archive, contents taken from the layers in order.

Directories come first, parents before children, then what has no contents. Contents follow layer by
layer in the order in which the layers have them, each under the first name of its inode; further
names of inodes come last, as hard links. Nothing is sought, and no content is kept.

``early_contents`` may have written files before.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from services.images.oci.flatten.indexing import LayerSource, OnProgress, count_up
from services.images.oci.flatten.reading.byte_stream import ByteStream
from services.images.oci.flatten.reading.decompression import Advance, uncompressed
from services.images.oci.flatten.tree.inode import DirectoryInode, FileInode, Inode
from services.images.oci.flatten.tree.layer_tree import LayerTree
from services.images.oci.flatten.writing.archive_sink import ArchiveSink
from services.images.oci.flatten.writing.file_member import write_file
from services.images.oci.flatten.writing.member_block import hard_link_block, member_block


class NamedContent(NamedTuple):
    """A file, where its layer has its contents, and its name in the image."""

    offset: int
    folder: bytes
    name: bytes
    inode: FileInode


class Emission:
    """The order of the members, made by one walk through the tree."""

    def __init__(self, tree: LayerTree) -> None:
        self._tree = tree
        self._contents: defaultdict[int, list[NamedContent]] = defaultdict(list)
        self._links: list[tuple[bytes, bytes]] = []
        self._first_names: dict[int, bytes] = {}
        self.content_bytes = 0
        self.found_early = 0
        """Files in the tree that were in the archive before, under the name that they have."""

    def write_names(self, sink: ArchiveSink) -> None:
        """Write all that has no contents, and find the order of the rest.

        Raises:
            OSError: when nobody reads the archive any more.
        """
        for folder, directory in _directories(self._tree.root):
            self._write_names(folder, directory, sink)

    def write_contents(
        self, layers: Sequence[LayerSource], sink: ArchiveSink, progress: OnProgress
    ) -> None:
        """Write the rest, and end the archive.

        Raises:
            BangerError: ``invalid`` for a blob that was damaged since it was indexed.
            OSError: when nobody reads the archive any more.
        """
        advance = count_up("pack", self.content_bytes, progress)
        for number, contents in sorted(self._contents.items()):
            contents.sort(key=lambda content: content.offset)
            with uncompressed(layers[number].path) as chunks:
                _write_contents(contents, ByteStream(chunks), sink, advance)
            contents.clear()
        for path, target in self._links:
            sink.write(hard_link_block(path, target))
        sink.finish()

    def _write_names(self, folder: bytes, directory: DirectoryInode, sink: ArchiveSink) -> None:
        if folder:
            sink.write(member_block(folder[:-1], directory))
        for name, inode in directory.children.items():
            if isinstance(inode, DirectoryInode):
                continue
            if isinstance(inode, FileInode) and inode.written_as:
                self._note_early(inode, folder + name)
            elif not inode.is_shared or self._is_first(inode, folder + name):
                if isinstance(inode, FileInode) and inode.size:
                    self.content_bytes += inode.size
                    content = NamedContent(inode.offset, folder, name, inode)
                    self._contents[inode.layer].append(content)
                else:
                    sink.write(member_block(folder + name, inode))

    def _note_early(self, inode: FileInode, path: bytes) -> None:
        if inode.written_as == path:
            self.found_early += 1
        else:
            self._links.append((path, inode.written_as))

    def _is_first(self, inode: Inode, path: bytes) -> bool:
        first = self._first_names.setdefault(id(inode), path)
        if first is not path:
            self._links.append((path, first))
        return first is path


def _directories(root: DirectoryInode) -> Iterator[tuple[bytes, DirectoryInode]]:
    """Every directory with its path and a slash, parents before children; "" for the root."""
    waiting = [(b"", root)]
    while waiting:
        folder, directory = waiting.pop()
        yield folder, directory
        waiting.extend(
            (folder + name + b"/", child)
            for name, child in directory.children.items()
            if isinstance(child, DirectoryInode)
        )


def _write_contents(
    contents: Sequence[NamedContent], stream: ByteStream, sink: ArchiveSink, advance: Advance
) -> None:
    for _, folder, name, inode in contents:
        write_file(folder + name, inode, stream, sink)
        advance(inode.size)
