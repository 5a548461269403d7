"""Entries as files of this host: what is copied out of a guest, which may be hostile.

Nothing is written outside the destination, whatever is there and whatever comes: each directory is
opened from the one above it, without following links (openat(2), O_NOFOLLOW), and nothing is
written under its final name. A file gets a temporary name and is moved when it is whole, so a copy
that is interrupted leaves what was there. No devices are made, no owner is changed, and no file
gets a set-user-id bit or an attribute that gives rights.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from types import TracebackType

from cli.guest.transfer.archive_entry import EntryKind, TreeEntry
from cli.guest.transfer.causes import of_os_error
from cli.guest.transfer.local_tree import Report, special

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HOLE = 1 << 16


@dataclass
class _Open:
    """A directory on the way to the current entry."""

    name: str
    descriptor: int
    made: TreeEntry | None
    """The entry that it was made of; its mode and times are set when it is left."""


class Extraction:
    """A directory of this host into which entries are written. A context manager.

    ``report`` takes what could not be written; the rest is.
    """

    def __init__(self, directory: str, report: Report, count: Callable[[int], None]) -> None:
        """``count`` is called with the number of bytes that were written.

        Raises:
            BangerError: when the directory cannot be opened.
        """
        self._root = directory
        self._report = report
        self._count = count
        self._stack: list[_Open] = []
        try:
            self._bottom = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise of_os_error(error, directory) from None

    def __enter__(self) -> "Extraction":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._leave(0)
        os.close(self._bottom)

    def place(self, entry: TreeEntry, root: tuple[str, ...]) -> bool:
        """Write ``entry``, whose source is called ``root`` here; empty: its contents are merged.
        False when it is not here, which has been reported."""
        path = (*root, *entry.path)
        if not path:
            return True  # the directory that is merged into keeps its mode and times
        if entry.kind is EntryKind.SPECIAL:
            self._report(special(self._show(path)))
            return False
        try:
            parent = self._enter(path[:-1])
            self._write(entry, parent, path, root)
        except OSError as error:
            self._report(of_os_error(error, self._show(path)))
            return False
        return True

    def _write(
        self, entry: TreeEntry, parent: int, path: tuple[str, ...], root: tuple[str, ...]
    ) -> None:
        name = path[-1]
        if entry.kind is EntryKind.DIRECTORY:
            self._directory(entry, parent, path)
        elif entry.kind is EntryKind.FILE:
            self._file(entry, parent, name)
        elif entry.kind is EntryKind.LINK:
            with _temporary(parent) as hidden:
                os.symlink(entry.link, hidden, dir_fd=parent)
                times = (entry.mtime, entry.mtime)
                os.utime(hidden, ns=times, dir_fd=parent, follow_symlinks=False)
                os.rename(hidden, name, src_dir_fd=parent, dst_dir_fd=parent)
        else:
            self._hard_link((*root, *entry.original), parent, name)

    def _directory(self, entry: TreeEntry, parent: int, path: tuple[str, ...]) -> None:
        name = path[-1]
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
            made: TreeEntry | None = entry
        except FileExistsError:
            made = None
        self._push(name, parent, made)

    def _push(self, name: str, parent: int, made: TreeEntry | None) -> int:
        descriptor = os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
        self._stack.append(_Open(name, descriptor, made))
        return descriptor

    def _enter(self, directories: tuple[str, ...]) -> int:
        """A descriptor of the directory at ``directories``, all of which are there."""
        same = 0
        while (
            same < min(len(self._stack), len(directories))
            and self._stack[same].name == directories[same]
        ):
            same += 1
        self._leave(same)
        parent = self._stack[-1].descriptor if self._stack else self._bottom
        for name in directories[same:]:
            parent = self._push(name, parent, None)
        return parent

    def _leave(self, depth: int) -> None:
        """Close the directories below ``depth``; those that were made get their modes and times."""
        while len(self._stack) > depth:
            left = self._stack.pop()
            try:
                if left.made:
                    _set_attributes(left.descriptor, left.made)
            except OSError as error:
                path = (*(each.name for each in self._stack), left.name)
                self._report(of_os_error(error, self._show(path)))
            finally:
                os.close(left.descriptor)

    def _file(self, entry: TreeEntry, parent: int, name: str) -> None:
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise _os_error(errno.EISDIR)
        with _temporary(parent) as hidden:
            descriptor = os.open(hidden, _NEW_FILE, 0o600, dir_fd=parent)
            try:
                self._fill(descriptor, entry)
                _set_attributes(descriptor, entry)
            finally:
                os.close(descriptor)
            os.rename(hidden, name, src_dir_fd=parent, dst_dir_fd=parent)

    def _fill(self, descriptor: int, entry: TreeEntry) -> None:
        fill(descriptor, entry, self._count)
        if sum(length for _, length in entry.segments) != entry.size:
            os.ftruncate(descriptor, entry.size)

    def _hard_link(self, original: tuple[str, ...], parent: int, name: str) -> None:
        if not original:
            raise _os_error(errno.ENOENT)
        with _temporary(parent) as hidden, self._walked(original[:-1]) as source:
            link = {"src_dir_fd": source, "dst_dir_fd": parent}
            os.link(original[-1], hidden, follow_symlinks=False, **link)
            os.rename(hidden, name, src_dir_fd=parent, dst_dir_fd=parent)

    @contextmanager
    def _walked(self, directories: tuple[str, ...]) -> Iterator[int]:
        current = os.dup(self._bottom)
        try:
            for name in directories:
                below = os.open(name, _OPEN_DIRECTORY, dir_fd=current)
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)

    def _show(self, path: tuple[str, ...]) -> str:
        return "/".join((self._root.rstrip("/"), *path))


def fill(descriptor: int, entry: TreeEntry, count: Callable[[int], None]) -> None:
    """Write a file's content, its holes left out, where the descriptor can seek; else all of it."""
    position = 0
    for chunk, offset in _placed(entry):
        if offset != position:
            os.lseek(descriptor, offset, os.SEEK_SET)
        write_all(descriptor, chunk)
        count(len(chunk))
        position = offset + len(chunk)


def fill_without_holes(descriptor: int, entry: TreeEntry, count: Callable[[int], None]) -> None:
    """Write a file's content to a device or a pipe, its holes as zeros."""
    position = 0
    for chunk, offset in chain(_placed(entry), [(b"", entry.size)]):
        while position < offset:
            write_all(descriptor, bytes(min(_HOLE, offset - position)))
            position += min(_HOLE, offset - position)
        write_all(descriptor, chunk)
        count(len(chunk))
        position += len(chunk)


def _placed(entry: TreeEntry) -> Iterator[tuple[bytes, int]]:
    """Each chunk of the content with its offset in the file."""
    segments = iter(entry.segments)
    offset = left = 0
    for chunk in entry.content():
        while chunk:
            if not left:
                offset, left = next(segments)
            piece = chunk[:left] if left < len(chunk) else chunk
            yield piece, offset
            offset, left = offset + len(piece), left - len(piece)
            chunk = chunk[len(piece) :]


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _set_attributes(descriptor: int, entry: TreeEntry) -> None:
    for name, value in entry.xattrs.items():
        with suppress(OSError):  # a filesystem without them, or with less room for them
            os.setxattr(descriptor, name, value)
    os.fchmod(descriptor, entry.mode)
    os.utime(descriptor, ns=(entry.mtime, entry.mtime))


@contextmanager
def _temporary(parent: int) -> Iterator[str]:
    """A name that nobody uses; what still has it at the end is removed."""
    hidden = f".banger-{os.urandom(8).hex()}"
    try:
        yield hidden
    finally:
        with suppress(FileNotFoundError):
            os.unlink(hidden, dir_fd=parent)


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
