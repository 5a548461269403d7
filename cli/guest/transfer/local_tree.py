"""Files of this host as entries: what is copied into a guest."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from cli.guest.transfer.archive_entry import CHUNK, DEEPEST, EntryKind, TreeEntry, kept_mode
from cli.guest.transfer.causes import failed, of_os_error
from cli.guest.transfer.plan import SourceKind
from shared.errors import BangerError, Code

Report = Callable[[BangerError], None]
"""Takes what could not be copied; the rest is."""


class LocalSource:
    """A source on this host. Its path is as the user wrote it.

    Raises:
        BangerError: ``not_found``, ``denied``, ``conflict`` for a file with a trailing slash,
            ``invalid`` for a device, a pipe or a socket.
    """

    def __init__(self, path: str, *, follow: bool) -> None:
        bare = path.rstrip("/")
        last = bare.rpartition("/")[2]
        contents = last in ("", ".", "..")
        self.path = path
        try:
            through = follow or bare != path or contents
            # A Path would lose the trailing slash.
            info = os.stat(path, follow_symlinks=through)  # noqa: PTH116
        except OSError as error:
            raise of_os_error(error, path) from None
        self.name = "" if contents else last
        self.kind = _kind(info.st_mode, path, contents=contents)
        self._root = path if self.kind is not SourceKind.LINK else bare

    def size(self) -> int:
        """Bytes to copy, without holes; what cannot be read counts as nothing."""
        if self.kind not in (SourceKind.DIRECTORY, SourceKind.CONTENTS):
            return _stored(Path(self._root).stat()) if self.kind is SourceKind.FILE else 0
        total, linked = 0, set[tuple[int, int]]()
        for directory, _, names in os.walk(self._root):
            for name in names:
                with suppress(OSError):
                    status = os.lstat(f"{directory}/{name}")
                    place = (status.st_dev, status.st_ino)
                    if status.st_nlink > 1 and place in linked:
                        continue  # sent once
                    linked.add(place)
                    total += _stored(status)
        return total

    def entries(self, report: Report) -> Iterator[TreeEntry]:
        """The source itself and all that is below it."""
        walk = _Walk(report)
        if self.kind in (SourceKind.DIRECTORY, SourceKind.CONTENTS):
            yield from walk.directory(self._root, ())
        else:
            follow = self.kind is SourceKind.FILE
            info = Path(self._root).stat(follow_symlinks=follow)
            yield from walk.other(self._root, (), info)


def _kind(mode: int, path: str, *, contents: bool) -> SourceKind:
    if stat.S_ISDIR(mode):
        return SourceKind.CONTENTS if contents else SourceKind.DIRECTORY
    if stat.S_ISLNK(mode):
        return SourceKind.LINK
    if stat.S_ISREG(mode):
        return SourceKind.FILE
    raise special(path)


def special(path: str) -> BangerError:
    """What has no content that a copy could have."""
    return BangerError(
        Code.INVALID,
        f"{path} is neither a file, a directory nor a link",
        hint="devices, sockets and pipes are not copied",
    )


def _stored(info: os.stat_result) -> int:
    return min(info.st_size, info.st_blocks * 512) if stat.S_ISREG(info.st_mode) else 0


class _Walk:
    """Goes through trees; a file with several names becomes hard links within a source."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._first: dict[tuple[int, int], tuple[str, ...]] = {}

    def directory(self, path: str, below: tuple[str, ...]) -> Iterator[TreeEntry]:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            self._report(of_os_error(error, path))
            return
        try:
            info, xattrs = os.fstat(descriptor), _xattrs(descriptor)
        finally:
            os.close(descriptor)
        mode = kept_mode(info.st_mode, directory=True)
        yield TreeEntry(EntryKind.DIRECTORY, below, mode, info.st_mtime_ns, xattrs=xattrs)
        yield from self.children(path, below)

    def children(self, path: str, below: tuple[str, ...]) -> Iterator[TreeEntry]:
        try:
            with os.scandir(path) as found:
                names = sorted(entry.name for entry in found)
        except OSError as error:
            self._report(of_os_error(error, path))
            return
        if len(below) >= DEEPEST:
            self._report(failed("ENAMETOOLONG", path, "is too deep below the source"))
            return
        for name in names:
            child = f"{path.rstrip('/')}/{name}"
            try:
                info = os.lstat(child)
            except OSError as error:
                self._report(of_os_error(error, child))
                continue
            if stat.S_ISDIR(info.st_mode):
                yield from self.directory(child, (*below, name))
            else:
                yield from self.other(child, (*below, name), info)

    def other(self, path: str, below: tuple[str, ...], info: os.stat_result) -> Iterator[TreeEntry]:
        """A file, a link, or nothing: then it is reported, except a socket, which is dead
        without its program."""
        try:
            if stat.S_ISLNK(info.st_mode):
                link = str(Path(path).readlink())
                yield TreeEntry(EntryKind.LINK, below, 0o777, info.st_mtime_ns, link=link)
            elif stat.S_ISREG(info.st_mode):
                yield from self._file(path, below, info)
            elif not stat.S_ISSOCK(info.st_mode):
                self._report(special(path))
        except OSError as error:
            self._report(of_os_error(error, path))

    def _file(self, path: str, below: tuple[str, ...], info: os.stat_result) -> Iterator[TreeEntry]:
        number = (info.st_dev, info.st_ino)
        if info.st_nlink > 1 and number in self._first:
            yield TreeEntry(EntryKind.HARD_LINK, below, original=self._first[number])
            return
        # It may have become a pipe since it was looked at.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise special(path)
            if info.st_nlink > 1:
                self._first[number] = below
            yield _opened(descriptor, path, below, info, self._report)
        finally:
            os.close(descriptor)


def _opened(
    descriptor: int, path: str, below: tuple[str, ...], info: os.stat_result, report: Report
) -> TreeEntry:
    segments = tuple(_segments(descriptor, info))
    return TreeEntry(
        EntryKind.FILE,
        below,
        kept_mode(info.st_mode, directory=False),
        info.st_mtime_ns,
        info.st_size,
        segments=segments,
        xattrs=_xattrs(descriptor),
        content=lambda: _content(descriptor, path, segments, report),
    )


def _segments(descriptor: int, info: os.stat_result) -> Iterator[tuple[int, int]]:
    """Where a file's data is: lseek(2) with SEEK_DATA. A file without holes has one segment."""
    if info.st_blocks * 512 >= info.st_size:
        if info.st_size:
            yield 0, info.st_size
        return
    position = 0
    while position < info.st_size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            return
        position = min(os.lseek(descriptor, start, os.SEEK_HOLE), info.st_size)
        if start >= position:
            return
        yield start, position - start


def _content(
    descriptor: int, path: str, segments: tuple[tuple[int, int], ...], report: Report
) -> Iterator[bytes]:
    """As many bytes as have been announced: zeros for what was cut off meanwhile, and a report."""
    for offset, length in segments:
        end = offset + length
        while offset < end:
            try:
                chunk = os.pread(descriptor, min(CHUNK, end - offset), offset)
            except OSError as error:
                report(of_os_error(error, path))
                chunk = b""
            else:
                if not chunk:
                    report(BangerError(Code.CONFLICT, f"{path} became shorter while it was read"))
            if not chunk:
                yield from _zeros(end - offset)
                break
            offset += len(chunk)
            yield chunk


def _zeros(size: int) -> Iterator[bytes]:
    while size:
        yield bytes(min(CHUNK, size))
        size -= min(CHUNK, size)


def _xattrs(descriptor: int) -> dict[str, bytes]:
    with suppress(OSError):  # a filesystem without them
        names = [name for name in os.listxattr(descriptor) if name.startswith("user.")]
        return {name: os.getxattr(descriptor, name) for name in names if name.isascii()}
    return {}
