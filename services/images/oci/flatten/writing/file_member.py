"""A file with its contents, copied from its layer into the archive."""

from services.images.oci.flatten.reading.byte_stream import ByteStream
from services.images.oci.flatten.tree.inode import FileInode
from services.images.oci.flatten.writing.archive_sink import ArchiveSink
from services.images.oci.flatten.writing.member_block import member_block


def write_file(path: bytes, inode: FileInode, stream: ByteStream, sink: ArchiveSink) -> None:
    """Write a file, whose contents are where ``stream`` is or behind that.

    Raises:
        BangerError: ``invalid`` when the layer ends before.
        OSError: when nobody reads the archive any more.
    """
    stream.skip(inode.offset - stream.position)
    sink.write(member_block(path, inode))
    if inode.extents is None:
        for piece in stream.pieces(inode.size):
            sink.write(piece)
    else:
        _write_sparse(inode, stream, sink)
    sink.pad(inode.size)


def _write_sparse(inode: FileInode, stream: ByteStream, sink: ArchiveSink) -> None:
    """The holes are written out; squashfs stores a block of zeros as a hole again."""
    at = 0
    for start, length in inode.extents or ():
        sink.zeros(start - at)
        for piece in stream.pieces(length):
            sink.write(piece)
        at = start + length
    sink.zeros(inode.size - at)
