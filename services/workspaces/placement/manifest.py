"""Which content each file of a workspace had on the host when it was placed.

A manifest is a file of ``path NUL stamp NUL``, sorted by path. A stamp is what tells a content
from another one without reading it: the blob of a file that the guest checked out, or what the
filesystem says of a file that was sent. Both sides of a comparison are read as they go: a manifest
of 100,000 files is never in memory.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from services.workspaces.repository.selection import Selection
from shared.errors import BangerError, Code
from shared.host.files import draft_of, is_full, move_into_place

Line = tuple[bytes, bytes]
"""A path and its stamp."""
_PIECE = 1 << 18


def file_stamp(found: os.stat_result, mode: int) -> bytes:
    """Of a file in the work tree whose mode is ``mode`` for git: a change shows in one of these."""
    kind = stat.S_IFMT(found.st_mode) | (mode & 0o777)
    return b"file %o %d %d %d %d" % (
        kind, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino,
    )  # fmt: skip


def blob_stamp(mode: int, oid: str) -> bytes:
    """Of a file that the guest's git writes from an object."""
    return b"blob %o %s" % (mode, oid.encode())


def with_raw_oid(stamp: bytes, oid: str) -> bytes:
    """Of a file whose bytes git converts: with the object name of the bytes that were sent."""
    return stamp + b" raw " + oid.encode() if oid else stamp


def split_stamp(stamp: bytes) -> tuple[bytes, str]:
    """A stamp without the raw object name, and that."""
    plain, _, oid = stamp.partition(b" raw ")
    return plain, oid.decode()


def write_manifest(path: Path, lines: Iterable[Line]) -> None:
    """Write a new manifest; ``lines`` are sorted by path. Raises ``no_space``."""
    draft = draft_of(path)
    try:
        with draft.open("wb", buffering=_PIECE) as file:
            for name, stamp in lines:
                file.write(b"%s\0%s\0" % (name, stamp))
        move_into_place(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        if is_full(error):
            raise BangerError(Code.NO_SPACE, f"no space left to write {path}") from error
        raise


def read_manifest(path: Path) -> Iterator[Line]:
    """The lines of a manifest, in order. Raises FileNotFoundError."""
    with path.open("rb") as file:
        rest = b""
        name: bytes | None = None
        while piece := file.read(_PIECE):
            *words, rest = (rest + piece).split(b"\0")
            for word in words:
                if name is None:
                    name = word
                else:
                    yield name, word
                    name = None


class Manifest:
    """The lines of a manifest without raw object names, which are in ``raw`` once it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.raw: dict[bytes, str] = {}

    def __iter__(self) -> Iterator[Line]:
        for name, stamp in read_manifest(self._path):
            plain, oid = split_stamp(stamp)
            if oid:
                self.raw[name] = oid
            yield name, plain


def manifest_lines(
    selection: Selection, sent: Mapping[bytes, bytes], before: Iterable[Line]
) -> Iterator[Line]:
    """Each selected file and its stamp, sorted by path.

    ``sent``: the stamps of the files that were sent, by path. The other files of the work tree are
    as ``before``, the manifest of the last time, has them.
    """
    lines = iter(before)
    line = next(lines, None)
    overlay = {entry.path for entry in selection.overlay}
    for entry in sorted((*selection.checkout, *selection.overlay), key=lambda each: each.path):
        while line and line[0] < entry.path:
            line = next(lines, None)
        if entry.path not in overlay:
            yield entry.path, blob_stamp(entry.mode, entry.oid)
        elif entry.path in sent:
            yield entry.path, sent[entry.path]
        elif line and line[0] == entry.path:
            yield line
