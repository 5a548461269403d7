"""Staged files get their names in the host's work tree: all of them, or none.

Each file comes into its place by rename(2), and what it replaces keeps a second name in the staging
directory until the end. A failure takes everything back, and a process that is killed leaves each
file whole, the old one or the new one. Every directory is opened from the one above it without
following a symlink (openat(2), O_NOFOLLOW).
"""

import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.workspaces.incoming.changes import TreeChange
from services.workspaces.incoming.merge import conflict
from services.workspaces.repository.work_tree import WorkTree
from shared.errors import BangerError, Code
from shared.host.files import is_full
from shared.plain_text import printable
from shared.workers.job import uninterrupted

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class StagedFiles:
    """New content for the work tree at ``top``: ``staging/new/PATH`` for each change that has a
    mode; the others are deletions. ``staging`` is on the same file system."""

    top: Path
    staging: Path
    changes: list[TreeChange]
    _undo: list[Callable[[], object]] = field(default_factory=list)

    def written(self) -> Iterator[TreeChange]:
        return (change for change in self.changes if change.mode)

    def removed(self) -> Iterator[TreeChange]:
        return (change for change in self.changes if not change.mode)

    def new(self, path: bytes) -> Path:
        return self.staging / "new" / os.fsdecode(path)

    def place_of(self, path: bytes) -> Path:
        return self.top / os.fsdecode(path)

    def blocked(self) -> list[bytes]:
        """New files in whose way something is that the merge did not know of."""
        gone = {change.path for change in self.removed()}
        emptied = {parent for path in gone for parent in parents(path)}
        with WorkTree(self.top) as files:
            return [
                change.path
                for change in self.written()
                if not change.old_mode and _is_blocked(files, change.path, gone, emptied)
            ]

    def place(self) -> None:
        """Give every file its name. Raises OSError and ``conflict``: then call ``take_back``."""
        top = os.open(self.top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for number, change in enumerate(self.removed()):
                self._remove(top, change.path, self.staging / f"old/d{number}")
            for number, change in enumerate(self.written()):
                self._write(top, change, self.staging / f"old/w{number}")
        finally:
            os.close(top)

    def take_back(self) -> None:
        """Undo what ``place`` has done."""
        while self._undo:
            self._undo.pop()()

    def _remove(self, top: int, path: bytes, kept: Path) -> None:
        with _parent(top, path) as (parent, name):
            self._keep(parent, name, path, kept)
            os.unlink(name, dir_fd=parent)
        for directory in parents(path):  # those that are empty now, as git does
            with _parent(top, directory) as (parent, name):
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
                try:
                    os.rmdir(name, dir_fd=parent)
                except OSError:
                    return
            self._undo.append(_making(self.place_of(directory), stat.S_IMODE(found.st_mode)))

    def _write(self, top: int, change: TreeChange, kept: Path) -> None:
        self._make_parents(top, change.path)
        with _parent(top, change.path) as (parent, name):
            if change.old_mode and _exists(name, parent):
                self._keep(parent, name, change.path, kept)
            elif _exists(name, parent):
                raise conflict([change.path])
            else:
                self._undo.append(self.place_of(change.path).unlink)
            try:
                os.rename(self.new(change.path), name, dst_dir_fd=parent)
            except OSError:
                if not kept.is_symlink() and not kept.exists():
                    self._undo.pop()
                raise

    def _keep(self, parent: int, name: bytes, path: bytes, kept: Path) -> None:
        """Give a file a second name, which the undoing renames back."""
        os.link(name, kept, src_dir_fd=parent, follow_symlinks=False)
        place = self.place_of(path)
        self._undo.append(lambda: kept.replace(place))

    def _make_parents(self, top: int, path: bytes) -> None:
        for directory in reversed(parents(path)):
            with _parent(top, directory) as (parent, name):
                if _exists(name, parent):
                    continue
                os.mkdir(name, dir_fd=parent)
                os.chmod(name, 0o777 & permitted(self.top), dir_fd=parent)
            self._undo.append(self.place_of(directory).rmdir)


@contextmanager
def all_or_nothing(staged: Collection[StagedFiles]) -> Iterator[None]:
    """Around ``place`` and what has to go with it: a failure takes all of it back.

    A cancel waits meanwhile. OSError becomes ``no_space`` or ``denied``.
    """
    with uninterrupted():
        try:
            yield
        except BaseException as error:
            for each in reversed(list(staged)):
                each.take_back()
            if isinstance(error, OSError):
                raise refusal(error) from error
            raise


def parents(path: bytes) -> list[bytes]:
    """The directories of a path, the nearest first."""
    parts = path.split(b"/")[:-1]
    return [b"/".join(parts[:end]) for end in range(len(parts), 0, -1)]


def permitted(top: Path) -> int:
    """Permissions for new files: those of the top directory tell what the user's umask is, and
    this process has a service's."""
    return stat.S_IMODE(top.stat().st_mode) & 0o777 | 0o700


def refusal(error: OSError) -> BangerError:
    """What a file system's refusal means; nothing has been changed by then."""
    if is_full(error):
        return BangerError(
            Code.NO_SPACE, "the disk of this host is full", hint="nothing was changed; free space"
        )
    named = f" {printable(os.fsdecode(error.filename), 400)}" if error.filename else ""
    return BangerError(
        Code.DENIED, f"cannot write{named}: {error.strerror}", hint="nothing was changed"
    )


def _making(place: Path, mode: int) -> Callable[[], object]:
    return lambda: place.mkdir(mode)


@contextmanager
def _parent(top: int, path: bytes) -> Iterator[tuple[int, bytes]]:
    """A descriptor of the directory that a path is in, and the name in it. Raises OSError."""
    *parts, name = path.split(b"/")
    if any(part in (b"", b".", b"..") or part.lower() == b".git" for part in (*parts, name)):
        raise BangerError(Code.GUEST_FAILED, "a path of the guest leads out of the repository")
    descriptor = os.dup(top)
    try:
        for part in parts:
            below = os.open(part, _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor, name
    finally:
        os.close(descriptor)


def _exists(name: bytes, parent: int) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _is_blocked(
    files: WorkTree, new: bytes, gone: Collection[bytes], emptied: Collection[bytes]
) -> bool:
    """Whether something is in the way of a new file that does not go with the deletions."""
    for path in reversed([new, *parents(new)]):
        found = files.lstat(path)
        if found is None or path in gone:
            return False
        if not stat.S_ISDIR(found.st_mode):
            return True
    return new not in emptied or _holds_more(files.top / os.fsdecode(new), new, gone)


def _holds_more(directory: Path, path: bytes, gone: Collection[bytes]) -> bool:
    """Whether a directory holds files that do not go with the deletions."""
    for entry in list(directory.iterdir()):
        below = path + b"/" + os.fsencode(entry.name)
        if entry.is_dir() and not entry.is_symlink():
            if _holds_more(entry, below, gone):
                return True
        elif below not in gone:
            return True
    return False
