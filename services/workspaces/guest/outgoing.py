"""The archive that goes into a guest: files of the work tree, and lists and texts of ours.

The files are looked at first, so that the length of the archive is known, and read while it is
sent. One that changes in between ends the transfer: the archive is cut off, and the guest's script
takes no such archive.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from services.workspaces.guest.tar_stream import (
    END,
    ArchiveMember,
    header,
    padding,
    stored_length,
)
from services.workspaces.placement.manifest import file_stamp
from services.workspaces.repository.selection import Entry
from services.workspaces.repository.work_tree import WorkTree
from shared.errors import BangerError, Code
from shared.plain_text import printable

CHUNK = 1 << 18
_SMALL = 1 << 16
"""Small members are sent together."""

Write = Callable[[bytes], object]


@dataclass(slots=True)
class OutgoingFile:
    """A file of the work tree, as it was when it was looked at."""

    entry: Entry
    member: ArchiveMember
    stamp: bytes
    """Identifies this content of the file: see ``file_stamp``."""
    raw_oid: str = ""
    """The object name of its bytes, once it has been sent and if it was asked for."""


class OutgoingArchive:
    """``files`` below ``prefix``, then ``members``. Written once, to the end or not at all.

    Raises:
        BangerError: ``conflict`` with the name of a file that changed while it was read.
    """

    def __init__(
        self,
        tree: WorkTree,
        entries: Iterable[Entry],
        prefix: bytes = b"",
        *,
        hashed: Iterable[bytes] = (),
        object_format: str = "sha1",
    ) -> None:
        """``hashed``: the paths of the files that get a ``raw_oid``."""
        self._tree = tree
        self._hashed = frozenset(hashed)
        self._object_format = object_format
        self.files = [_look_at(tree, entry, prefix) for entry in entries]
        self.sent = 0
        """Files of the work tree that are sent."""
        self.bytes = sum(file.member.size for file in self.files)
        """What they hold."""

    def length(self, members: Sequence[ArchiveMember]) -> int:
        """Bytes of the archive that ends with ``members``."""
        known = sum(stored_length(file.member) for file in self.files)
        return known + sum(map(stored_length, members)) + len(END)

    def write_files(self, write: Write) -> None:
        """Send the files. ``write`` takes bytes."""
        batch = _Batch(write)
        for file in self.files:
            batch.add(header(file.member))
            if file.member.link:
                self._check(file)
            elif file.member.size or file.entry.path in self._hashed:
                self._send(file, batch)
            self.sent += 1
        batch.flush()

    def write_members(self, members: Sequence[ArchiveMember], write: Write) -> None:
        """Send the rest of the archive, and its end."""
        batch = _Batch(write)
        for member in members:
            batch.add(header(member))
            batch.add((member.data or b"") + padding(member.size))
        batch.add(END)
        batch.flush()

    def _send(self, file: OutgoingFile, batch: "_Batch") -> None:
        digest = hashlib.new(self._object_format, b"blob %d\0" % file.member.size)
        hashed = file.entry.path in self._hashed
        left = file.member.size
        try:
            descriptor = self._tree.open(file.entry.path)
        except FileNotFoundError:
            raise self._changed(file) from None
        try:
            while left:
                piece = os.read(descriptor, min(CHUNK, left))
                if not piece:
                    raise self._changed(file)
                if hashed:
                    digest.update(piece)
                batch.add(piece)
                left -= len(piece)
            if file_stamp(os.fstat(descriptor), file.entry.mode) != file.stamp:
                raise self._changed(file)
        except OSError as error:
            raise BangerError(
                Code.INVALID, f"cannot read {self._name(file)}: {error.strerror}"
            ) from None
        finally:
            os.close(descriptor)
        file.raw_oid = digest.hexdigest() if hashed else ""
        batch.add(padding(file.member.size))

    def _check(self, file: OutgoingFile) -> None:
        found = self._tree.lstat(file.entry.path)
        if found is None or file_stamp(found, file.entry.mode) != file.stamp:
            raise self._changed(file)

    def _changed(self, file: OutgoingFile) -> BangerError:
        return BangerError(
            Code.CONFLICT,
            f"{self._name(file)} changed while it was being read",
            hint="wait until nothing writes to it, and try again",
        )

    def _name(self, file: OutgoingFile) -> str:
        return printable(os.fsdecode(file.entry.path), 400)


class _Batch:
    """Gathers small pieces."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._held = bytearray()

    def add(self, piece: bytes) -> None:
        self._held += piece
        if len(self._held) >= _SMALL:
            self.flush()

    def flush(self) -> None:
        if self._held:
            self._write(bytes(self._held))
            self._held.clear()


def _look_at(tree: WorkTree, entry: Entry, prefix: bytes) -> OutgoingFile:
    found = tree.lstat(entry.path)
    if found is None:
        raise BangerError(
            Code.CONFLICT,
            f"{printable(os.fsdecode(entry.path), 400)} vanished while the repository was read",
            hint="wait until nothing changes the work tree, and try again",
        )
    path, stamp = prefix + entry.path, file_stamp(found, entry.mode)
    if stat.S_ISLNK(found.st_mode):
        return OutgoingFile(entry, ArchiveMember(path, link=tree.readlink(entry.path)), stamp)
    mode = 0o755 if entry.mode == 0o100755 else 0o644
    return OutgoingFile(entry, ArchiveMember(path, mode, found.st_size), stamp)
