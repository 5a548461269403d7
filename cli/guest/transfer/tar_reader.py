"""A tar stream as entries, from a guest that may be hostile.

``tarfile`` of the standard library reads the headers, out of a stream that only goes forward and
that gives it a bounded number of bytes for each entry. Names are checked here: no entry has an
absolute path, a ``..``, or a name outside its source. What is not a file, a directory or a link is
given as ``SPECIAL``, without content.
"""

import re
import struct
import tarfile
from collections.abc import Callable, Iterator
from typing import IO, cast

from cli.guest.transfer.archive_entry import CHUNK, DEEPEST, EntryKind, TreeEntry, kept_mode
from cli.guest.transfer.tar_writer import BLOCK, XATTR
from shared.errors import BangerError, Code

HEADER_LIMIT = 1 << 21
"""Bytes of all headers of one entry: name, attributes, the map of its holes."""
LATEST = 2**33
"""Seconds since the epoch, either way. A filesystem has no later times (ext4(5): 2446)."""
LARGEST = 2**62
ATTRIBUTES_LIMIT = 1 << 16

_DECIMAL = re.compile(r"(-?)(\d{1,12})(?:\.(\d{0,9})\d{0,64})?")
_DAMAGED = (
    tarfile.TarError,
    ValueError,  # UnicodeError too
    OverflowError,
    RecursionError,
    LookupError,
    TypeError,
    struct.error,
)

Read = Callable[[int], bytes]
"""Up to that many bytes; empty at the end of the stream."""


def damaged(what: str) -> BangerError:
    """The guest's answer is not what was asked for."""
    return BangerError(
        Code.GUEST_FAILED,
        f"the guest sent a damaged or forbidden archive: {what}",
        hint="nothing was written outside the destination",
    )


class ForwardStream:
    """A stream with what ``tarfile`` needs of a file: a position, and seeking forward."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._held = b""
        self._position = 0
        self.budget = HEADER_LIMIT
        self.last = b""
        """The last block that ``read`` gave."""

    def tell(self) -> int:
        return self._position

    def some(self, most: int) -> bytes:
        """At least one byte. Raises ``guest_failed`` at the end of the stream."""
        data = self._held[:most] or self._read(most)
        self._held = self._held[len(data) :]
        if not data:
            raise damaged("it is cut off")
        self._position += len(data)
        return data

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes of a header."""
        if not 0 <= size <= self.budget:
            raise damaged("an entry's headers are too long")
        self.budget -= size
        parts: list[bytes] = []
        while size:
            parts.append(self.some(size))
            size -= len(parts[-1])
        self.last = b"".join(parts)
        return self.last

    def seek(self, position: int) -> None:
        if position < self._position:
            raise damaged("it leads backwards")
        while self._position < position:
            self.some(min(CHUNK, position - self._position))

    def until(self, mark: bytes, most: int) -> bytes:
        """What precedes ``mark``, which is one byte and is taken too."""
        found = bytearray()
        while (byte := self.some(1)) != mark:
            found += byte
            if len(found) > most:
                raise damaged("a record is too long")
        return bytes(found)

    def skip_zeros(self) -> bool:
        """Pass the zeros that pad an archive; whether anything follows them."""
        budget = HEADER_LIMIT
        while not self._held.lstrip(b"\0"):
            budget -= len(self._held)
            self._position += len(self._held)
            if budget < 0:
                raise damaged("it does not end")
            self._held = self._read(BLOCK)
            if not self._held:
                return False
        rest = self._held.lstrip(b"\0")
        self._position += len(self._held) - len(rest)
        self._held = rest
        return True


def entries(stream: ForwardStream, root: tuple[str, ...]) -> Iterator[TreeEntry]:
    """The entries of one archive, whose names all begin with ``root``.

    The content of an entry can be read until the next one is asked for.

    Raises:
        BangerError: ``guest_failed`` for what is cut off, damaged, too long or forbidden.
    """
    archive: tarfile.TarFile | None = None
    start = stream.tell()
    while True:
        stream.budget = HEADER_LIMIT
        try:
            if archive is None:
                archive = tarfile.TarFile(
                    fileobj=cast(IO[bytes], _Relative(stream, start)),
                    encoding="utf-8",
                    errors="surrogateescape",
                )
            info = archive.next()
            if info is None:
                break
            # It would keep each of them.
            archive.__dict__["members"] = []
            entry = _entry(info, stream, root)
        except _DAMAGED as error:
            raise damaged(type(error).__name__) from None
        yield entry
    if stream.last.strip(b"\0"):
        raise damaged("a header is wrong")


class _Relative:
    """``stream`` as a file that begins where the archive does: ``tarfile`` takes position 0 for
    the place where an archive may be empty."""

    def __init__(self, stream: ForwardStream, start: int) -> None:
        self._stream = stream
        self._start = start
        self.mode = "rb"
        self.name = None

    def tell(self) -> int:
        return self._stream.tell() - self._start

    def read(self, size: int) -> bytes:
        return self._stream.read(size)

    def seek(self, position: int) -> None:
        self._stream.seek(position + self._start)


def _entry(info: tarfile.TarInfo, stream: ForwardStream, root: tuple[str, ...]) -> TreeEntry:
    path = _below(info.name, root)
    mtime = _nanoseconds(info)
    if info.issym():
        return TreeEntry(EntryKind.LINK, path, mtime=mtime, link=_link(info.linkname))
    if info.islnk():
        return TreeEntry(EntryKind.HARD_LINK, path, original=_below(info.linkname, root))
    if info.isdir():
        mode = kept_mode(info.mode, directory=True)
        return TreeEntry(EntryKind.DIRECTORY, path, mode, mtime, xattrs=_xattrs(info))
    if not info.isreg():
        return TreeEntry(EntryKind.SPECIAL, path)
    segments = _segments(info)
    return TreeEntry(
        EntryKind.FILE,
        path,
        kept_mode(info.mode, directory=False),
        mtime,
        info.size,
        segments=segments,
        xattrs=_xattrs(info),
        content=lambda: _content(stream, sum(length for _, length in segments)),
    )


def _content(stream: ForwardStream, size: int) -> Iterator[bytes]:
    while size:
        chunk = stream.some(min(CHUNK, size))
        size -= len(chunk)
        yield chunk


def _below(name: str, root: tuple[str, ...]) -> tuple[str, ...]:
    if name.startswith("/"):
        raise damaged("an absolute path")
    path = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in path or any("\0" in part for part in path):
        raise damaged("a path that leads out of the destination")
    if path[: len(root)] != root:
        raise damaged("a file that was not asked for")
    if len(path) > DEEPEST:
        raise damaged(f"a path of more than {DEEPEST} directories")
    return path[len(root) :]


def _link(target: str) -> str:
    if not target or "\0" in target:
        raise damaged("a link that leads nowhere")
    return target


def _segments(info: tarfile.TarInfo) -> tuple[tuple[int, int], ...]:
    if not 0 <= info.size <= LARGEST:
        raise damaged("a size that no file has")
    if not info.issparse():
        return ((0, info.size),) if info.size else ()
    segments = tuple((offset, length) for offset, length in _map(info) if length)
    end = 0
    for offset, length in segments:
        if offset < end or length < 0 or offset + length > info.size:
            raise damaged("holes that overlap")
        end = offset + length
    return segments


def _map(info: tarfile.TarInfo) -> list[tuple[int, int]]:
    return cast(list[tuple[int, int]], info.sparse or [])


def _nanoseconds(info: tarfile.TarInfo) -> int:
    text = info.pax_headers.get("mtime", "")
    found = _DECIMAL.fullmatch(text)
    if not found:
        return max(-LATEST, min(LATEST, int(info.mtime))) * 10**9
    sign, seconds, rest = found.groups()
    nanoseconds = min(LATEST, int(seconds)) * 10**9 + int((rest or "").ljust(9, "0"))
    return -nanoseconds if sign else nanoseconds


def _xattrs(info: tarfile.TarInfo) -> dict[str, bytes]:
    """Those that any user may set on a file of his. The others can give rights (security.*), or
    are of the filesystem they come from."""
    kept = {
        key.removeprefix(XATTR): value.encode("utf-8", "surrogateescape")
        for key, value in info.pax_headers.items()
        if key.startswith(f"{XATTR}user.") and "\0" not in key
    }
    if sum(map(len, kept.values())) > ATTRIBUTES_LIMIT:
        raise damaged("too many extended attributes")
    return kept
