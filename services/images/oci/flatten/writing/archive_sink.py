"""Where the archive is written: a pipe, in large pieces."""

import os

from services.images.oci.flatten.reading.header import BLOCK

_BUFFER = 128 << 10
_ZEROS = bytes(256 << 10)


class ArchiveSink:
    """Writes to a descriptor. ``written``: bytes of the archive."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = bytearray()
        self.written = 0

    def write(self, content: bytes | memoryview) -> None:
        """Raises:
        OSError: when nobody reads the pipe any more.
        """
        if len(content) >= _BUFFER:
            self.flush()
            self._write_out(memoryview(content))
            return
        self._buffer += content
        if len(self._buffer) >= _BUFFER:
            self.flush()

    def zeros(self, count: int) -> None:
        while count:
            piece = min(count, len(_ZEROS))
            self.write(memoryview(_ZEROS)[:piece])
            count -= piece

    def pad(self, size: int) -> None:
        """End the contents of a member, which have ``size`` bytes, at the end of a block."""
        self._buffer += bytes(-size % BLOCK)

    def finish(self) -> None:
        """Mark the end of the archive."""
        self._buffer += bytes(2 * BLOCK)
        self.flush()

    def flush(self) -> None:
        buffer, self._buffer = self._buffer, bytearray()
        self._write_out(memoryview(buffer))

    def _write_out(self, content: memoryview) -> None:
        self.written += len(content)
        while content:
            content = content[os.write(self._descriptor, content) :]
