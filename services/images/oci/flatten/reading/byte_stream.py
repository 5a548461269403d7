"""An uncompressed layer as a stream: read in order, by any number of bytes."""

from collections.abc import Iterator

from services.images.oci.flatten.limits import damaged


class ByteStream:
    """Chunks of any size as one stream. ``position`` is how much of it has been read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = b""
        self._at = 0
        self.position = 0

    def take(self, count: int) -> bytes:
        """Exactly ``count`` bytes.

        Raises:
            BangerError: ``invalid`` when the stream is shorter.
        """
        end = self._at + count
        if end <= len(self._chunk):
            taken = self._chunk[self._at : end]
            self._at = end
            self.position += count
            return taken
        return b"".join(self.pieces(count))

    def skip(self, count: int) -> None:
        """Read ``count`` bytes and forget them. Raises as ``take``."""
        while count > (left := len(self._chunk) - self._at):
            self._at += left
            self.position += left
            count -= left
            self._next()
        self._at += count
        self.position += count

    def pieces(self, count: int) -> Iterator[bytes | memoryview]:
        """``count`` bytes in pieces, which are not copied. Raises as ``take``."""
        while count:
            left = len(self._chunk) - self._at
            if not left:
                self._next()
                continue
            size = min(left, count)
            piece = memoryview(self._chunk)[self._at : self._at + size]
            self._at += size
            self.position += size
            count -= size
            yield piece

    def at_end(self) -> bool:
        """Whether nothing is left."""
        while self._at == len(self._chunk):
            chunk = next(self._chunks, None)
            if chunk is None:
                return True
            self._chunk, self._at = chunk, 0
        return False

    def drain(self) -> None:
        """Read all that is left."""
        while not self.at_end():
            self.skip(len(self._chunk) - self._at)

    def _next(self) -> None:
        if self.at_end():
            raise damaged("its archive ends in the middle")
