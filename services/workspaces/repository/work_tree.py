"""Files of a work tree, reached without following a symlink on the way.

A tracked path below a symlink is absent for git, and may lead anywhere: ``a/passwd`` where ``a`` is
a link to /etc. So each directory is opened from the one above it with O_NOFOLLOW, and kept open
while the next paths are below it, which sorted paths are.
"""

import os
import stat
from pathlib import Path
from types import TracebackType

from shared.errors import BangerError, Code
from shared.plain_text import printable

_ABSENT = (FileNotFoundError, NotADirectoryError)
_NO_NAMES = frozenset((b"", b".", b".."))
"""Parts that no path of git's has, and that lead elsewhere."""
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class WorkTree:
    """The files below ``top``. Paths are bytes, relative, with slashes; nothing is at a path that
    has ``..`` in it, or that is absolute."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self._parent = b""
        self._names: list[bytes] = []
        """Of the directories that are open below the top level."""
        self._opened = [_open_top(top)]
        """Descriptors: of the top level, and of ``_names``."""
        self._missing: bytes | None = None
        """The directory that was looked for last and is not there."""

    def __enter__(self) -> "WorkTree":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for descriptor in self._opened:
            os.close(descriptor)
        self._opened = []

    def lstat(self, path: bytes) -> os.stat_result | None:
        """Of the file, or None when it is not there, or below something that is no directory.

        Raises ``denied`` when this user may not look.
        """
        found = self._directory_of(path)
        if found is None:
            return None
        directory, name = found
        try:
            return os.stat(name, dir_fd=directory, follow_symlinks=False)
        except _ABSENT:
            return None
        except OSError as error:
            raise unreadable(self.top, path, error) from None

    def open(self, path: bytes) -> int:
        """A descriptor of a regular file, to read.

        Raises FileNotFoundError, ``denied``, and ``invalid`` when it is no regular file any more.
        """
        found = self._directory_of(path)
        if found is None:
            raise FileNotFoundError(path)
        directory, name = found
        try:
            descriptor = os.open(name, _FILE, dir_fd=directory)
        except _ABSENT:
            raise FileNotFoundError(path) from None
        except OSError as error:
            raise unreadable(self.top, path, error) from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BangerError(Code.INVALID, f"{_named(self.top, path)} is not a regular file")
        return descriptor

    def readlink(self, path: bytes) -> bytes:
        """The target of a symlink. Raises FileNotFoundError, and ``invalid`` for anything else."""
        found = self._directory_of(path)
        if found is None:
            raise FileNotFoundError(path)
        directory, name = found
        try:
            return os.readlink(name, dir_fd=directory)
        except _ABSENT:
            raise FileNotFoundError(path) from None
        except OSError as error:
            message = f"{_named(self.top, path)} is not a symlink: {error.strerror}"
            raise BangerError(Code.INVALID, message) from None

    def may_read(self, path: bytes) -> bool:
        """Whether this user may read the file, which exists; true for a symlink."""
        found = self._directory_of(path)
        return found is not None and os.access(
            found[1], os.R_OK, dir_fd=found[0], effective_ids=True, follow_symlinks=False
        )

    def _directory_of(self, path: bytes) -> tuple[int, bytes] | None:
        """The open directory that holds the last part of ``path``, and that part."""
        parent, _, name = path.rpartition(b"/")
        if name in _NO_NAMES:
            return None
        if parent != self._parent:
            if parent == self._missing:
                return None
            if not self._change_to(parent, path):
                self._missing = parent
                return None
        return self._opened[-1], name

    def _change_to(self, parent: bytes, path: bytes) -> bool:
        wanted = parent.split(b"/") if parent else []
        if not _NO_NAMES.isdisjoint(wanted):
            return False
        shared = 0
        while shared < min(len(wanted), len(self._names)) and (
            wanted[shared] == self._names[shared]
        ):
            shared += 1
        while len(self._names) > shared:
            self._names.pop()
            os.close(self._opened.pop())
        try:
            for name in wanted[shared:]:
                self._opened.append(os.open(name, _DIRECTORY, dir_fd=self._opened[-1]))
                self._names.append(name)
        except _ABSENT:
            return False
        except OSError as error:
            raise unreadable(self.top, path, error) from None
        finally:
            self._parent = b"/".join(self._names)
        return True


def unreadable(top: Path, path: bytes, error: OSError) -> BangerError:
    """Why a file cannot be taken, with its name."""
    code = Code.DENIED if isinstance(error, PermissionError) else Code.INVALID
    return BangerError(code, f"cannot read {_named(top, path)}: {error.strerror}")


def _open_top(top: Path) -> int:
    try:
        return os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise unreadable(top, b"", error) from None


def _named(top: Path, path: bytes) -> str:
    return printable(str(top / os.fsdecode(path)), 400)
