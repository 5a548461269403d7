"""Reads an archive of ``image export``, as a stream, and trusts nothing in it.

Only what the manifests at its start announce is read: each file under its name, in its order, with
its size and its sum. Anything else refuses the archive.
"""

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from services.images.archive.contents import (
    BLOCK,
    HEAD,
    LONGEST_HEAD,
    ArchiveHead,
    PackedFile,
    damaged,
    decode_head,
    foreign,
    members_of,
)
from services.images.oci.flatten.limits import DamagedLayer
from services.images.oci.flatten.reading.byte_stream import ByteStream
from services.images.oci.flatten.reading.decompression import uncompressed
from shared.errors import BangerError, Code
from shared.plain_text import printable

OnBytes = Callable[[int], None]
_PADDING = 1 << 20
"""Bytes of zeros after the end; tar pads to 10 KiB."""
_SHOWN = 100


class ArchiveReader:
    """One archive that is being read."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        try:
            name, size = self._header()
        except BangerError as error:
            raise foreign("the archive") from error
        if name != HEAD:
            raise foreign("the archive")
        if size > LONGEST_HEAD:
            raise damaged(f"{HEAD} has {size} bytes")
        content = self._stream.take(size)
        self._skip_padding(size)
        self.head: ArchiveHead = decode_head(content)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(member.sum.size for member in members_of(self.head))

    def extract(
        self, place: Callable[[PackedFile], Path], advance: OnBytes = lambda _: None
    ) -> None:
        """Write each file to where ``place`` says, and see that nothing follows.

        Raises:
            BangerError: ``invalid`` for an archive that does not hold what it announces.
            OSError: what could not be written.
        """
        for member in members_of(self.head):
            name, size = self._header()
            if (name, size) != (member.name, member.sum.size):
                raise damaged(
                    f"it holds {printable(name, _SHOWN)!r} of {size} bytes where {member.name} "
                    f"of {member.sum.size} bytes has to be"
                )
            self._write(member, place(member), advance)
            self._skip_padding(size)
        self._end()

    def _write(self, member: PackedFile, path: Path, advance: OnBytes) -> None:
        digest = hashlib.sha256()
        with path.open("xb") as file:
            for piece in self._stream.pieces(member.sum.size):
                digest.update(piece)
                file.write(piece)
                advance(len(piece))
            os.fsync(file.fileno())  # here, where it can be cancelled
        if digest.hexdigest() != member.sum.sha256:
            raise damaged(f"{member.name} has another content than it is to have")

    def _header(self) -> tuple[str, int]:
        """The name and the size of the next member, which has to be a plain file."""
        block = self._stream.take(BLOCK)
        if not any(block):
            raise damaged("it ends before its last file")
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.TarError, ValueError) as error:
            raise damaged(f"a header is not one of tar: {printable(str(error), _SHOWN)}") from error
        if info.type != tarfile.REGTYPE or info.linkname:
            raise damaged(f"{printable(info.name, _SHOWN)!r} is no plain file")
        if info.size < 0:
            raise damaged(f"a file has a size of {info.size}")
        return info.name, info.size

    def _skip_padding(self, size: int) -> None:
        self._stream.take(-size % BLOCK)

    def _end(self) -> None:
        if any(self._stream.take(2 * BLOCK)):
            raise damaged("something follows its last file")
        left = 0
        while not self._stream.at_end():
            left += BLOCK
            if left > _PADDING or any(self._stream.take(BLOCK)):
                raise damaged("something follows its end")


@contextmanager
def opened(file: Path) -> Iterator[ArchiveReader]:
    """An archive, open as long as the block lasts.

    Raises:
        BangerError: ``invalid`` when it is damaged, also while it is read; or foreign.
        OSError: when it cannot be opened.
    """
    try:
        with uncompressed(file) as chunks:
            stream = ByteStream(chunks)
            if stream.at_end():
                raise BangerError(Code.INVALID, "the archive is empty")
            yield ArchiveReader(stream)
    except DamagedLayer as error:
        raise damaged(error.what) from error
