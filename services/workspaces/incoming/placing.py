"""Files of a merge go into the host's work tree: all of them, or none.

git writes the new files into a staging directory on the same file system first, so a full disk is
found before anything is touched. Then each gets its name by rename(2), and what it replaces keeps a
second name until the end: a failure takes everything back, and a process that is killed leaves each
file whole, the old one or the new one.

Every directory is opened from the one above it without following a symlink (openat(2),
O_NOFOLLOW), and no file is replaced that the merge did not know of.
"""

import os
import shutil
import signal
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from services.workspaces.incoming.changes import EXECUTABLE, TreeChange, changes_between
from services.workspaces.incoming.merge import conflict
from services.workspaces.repository.discovery import Repository
from services.workspaces.repository.git_process import GitProcess
from shared.errors import BangerError, Code
from shared.host.files import is_full
from shared.plain_text import printable

STAGING = "banger-apply-"
"""Begins the name of a staging directory; the process's number ends it."""
MOST_WRITTEN = 250_000
"""Files that one merge may change."""
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class Placement:
    """New content for a work tree, staged and not yet in its place."""

    top: Path
    staging: Path
    changes: list[TreeChange]
    """By path, renames as a deletion and an addition."""
    _undo: list[Callable[[], None]] = field(default_factory=list)

    @property
    def written(self) -> Iterator[TreeChange]:
        return (change for change in self.changes if change.mode)

    @property
    def removed(self) -> Iterator[TreeChange]:
        return (change for change in self.changes if not change.mode)

    def check(self) -> None:
        """Raise ``conflict`` with the names when files would be replaced that the merge did not
        know of."""
        gone = {change.path for change in self.removed}
        parents = {parent for path in gone for parent in _parents(path)}
        blocked = [
            change.path
            for change in self.written
            if _is_blocked(self.top, change, gone, parents)
        ]
        if blocked:
            raise conflict(blocked)

    def place(self, then: Callable[[], None] = lambda: None) -> None:
        """Give every file its name, then do ``then``; if any of it fails, take it all back.

        Signals wait meanwhile. Raises ``no_space``, ``denied``, ``conflict``, or what ``then``
        raises.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        top = os.open(self.top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._move(top)
            then()
        except BaseException as error:
            for undo in reversed(self._undo):
                undo()
            if isinstance(error, OSError):
                raise _refusal(error, self.top) from error
            raise
        finally:
            os.close(top)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _move(self, top: int) -> None:
        for number, change in enumerate(self.removed):
            self._remove(top, change.path, self.staging / f"old/d{number}")
        for number, change in enumerate(self.written):
            self._write(top, change, self.staging / f"old/w{number}")

    def _remove(self, top: int, path: bytes, kept: Path) -> None:
        with _parent(top, path) as (parent, name):
            self._keep(parent, name, path, kept)
            os.unlink(name, dir_fd=parent)
        self._remove_empty(top, path)

    def _remove_empty(self, top: int, path: bytes) -> None:
        """The directories that a deletion has left empty, as git does."""
        for directory in _parents(path):
            with _parent(top, directory) as (parent, name):
                mode = stat.S_IMODE(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
                try:
                    os.rmdir(name, dir_fd=parent)
                except OSError:
                    return
                place = os.path.join(os.fsencode(self.top), directory)
                self._undo.append(lambda place=place, mode=mode: os.mkdir(place, mode))  # type: ignore[misc]

    def _write(self, top: int, change: TreeChange, kept: Path) -> None:
        self._make_parents(top, change.path)
        staged = os.path.join(os.fsencode(self.staging), b"new", change.path)
        with _parent(top, change.path) as (parent, name):
            if change.old_mode:
                self._keep(parent, name, change.path, kept)
            elif _exists(name, parent):
                raise conflict([change.path])
            else:
                place = os.path.join(os.fsencode(self.top), change.path)
                self._undo.append(lambda: os.unlink(place))
            os.rename(staged, name, dst_dir_fd=parent)

    def _keep(self, parent: int, name: bytes, path: bytes, kept: Path) -> None:
        """Give a file a second name, which the undoing renames back."""
        os.link(name, kept, src_dir_fd=parent, follow_symlinks=False)
        place = os.path.join(os.fsencode(self.top), path)
        self._undo.append(lambda: os.replace(kept, place))

    def _make_parents(self, top: int, path: bytes) -> None:
        for directory in reversed(_parents(path)):
            with _parent(top, directory) as (parent, name):
                if _exists(name, parent):
                    continue
                os.mkdir(name, 0o777 & _permitted(self.top), dir_fd=parent)
                os.chmod(name, 0o777 & _permitted(self.top), dir_fd=parent)
                place = os.path.join(os.fsencode(self.top), directory)
                self._undo.append(lambda place=place: os.rmdir(place))  # type: ignore[misc]


@contextmanager
def staged(
    git: GitProcess, repository: Repository, top: Path, old: str, new: str
) -> Iterator[Placement]:
    """The files that turn tree ``old`` at ``top`` into tree ``new``, written and not yet placed.

    The staging directory is in the repository's git directory if that is on the same file system,
    and removed at the end. Raises ``too_large``, ``no_space``.
    """
    changes = []
    for change in changes_between(git, old, new, renames=False):
        if change.of_repository:
            continue
        changes.append(change)
        if len(changes) > MOST_WRITTEN:
            raise BangerError(
                Code.TOO_LARGE,
                f"the guest has changed more than {MOST_WRITTEN} files",
                hint="export them: banger vm workspace export",
            )
    staging = _staging_directory(repository, top)
    try:
        for name in ("new", "old"):
            (staging / name).mkdir()
        placement = Placement(top, staging, changes)
        _require_space(git, placement)
        _check_out(git, new, placement)
        yield placement
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _staging_directory(repository: Repository, top: Path) -> Path:
    """A new one; what processes that are gone have left is removed."""
    places = [repository.git_directory, top]
    for place in places:
        for left in place.glob(f"{STAGING}*"):
            if not _is_alive(left.name.removeprefix(STAGING)):
                shutil.rmtree(left, ignore_errors=True)
    device = top.stat().st_dev
    place = next(place for place in places if place.stat().st_dev == device)
    staging = place / f"{STAGING}{os.getpid()}"
    try:
        staging.mkdir(mode=0o700)
    except OSError as error:
        raise _refusal(error, place) from error
    return staging


def _is_alive(number: str) -> bool:
    if not number.isdigit():
        return True  # not ours
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return int(number) != os.getpid()


def _require_space(git: GitProcess, placement: Placement) -> None:
    names = "".join(f"{change.oid}\n" for change in placement.written).encode()
    sizes = git.run("cat-file", "--batch-check=%(objectsize)", stdin=names)
    total = sum(map(int, sizes.split()))
    free = shutil.disk_usage(placement.staging).free
    if total > free:
        raise BangerError(
            Code.NO_SPACE,
            f"the changes of the guest take {total} bytes, and {free} are free "
            f"in {printable(str(placement.top))}",
            hint="free some space",
        )


def _check_out(git: GitProcess, tree: str, placement: Placement) -> None:
    """git writes the files of ``tree`` with its conversions, by the attributes that it holds."""
    new = placement.staging / "new"
    environment = {
        "GIT_WORK_TREE": str(new),
        "GIT_INDEX_FILE": str(placement.staging / "index"),
    }
    here = GitProcess(new, {**git.environment, **environment})
    here.run("read-tree", tree)
    names = b"".join(change.path + b"\0" for change in placement.written)
    if names:
        here.run("checkout-index", "-z", "--stdin", "--force", "--ignore-skip-worktree-bits", stdin=names)
    for change in placement.written:
        _set_mode(placement, change)


def _set_mode(placement: Placement, change: TreeChange) -> None:
    """Permissions as the file had them, or as the top directory grants them; git's umask is that
    of a service."""
    staged_file = os.path.join(os.fsencode(placement.staging), b"new", change.path)
    if not stat.S_ISREG(os.lstat(staged_file).st_mode):
        return
    mode = 0o666 & _permitted(placement.top)
    with suppress(OSError):
        found = os.lstat(os.path.join(os.fsencode(placement.top), change.path)).st_mode
        if change.old_mode and stat.S_ISREG(found):
            mode = stat.S_IMODE(found) & 0o666
    if change.mode == EXECUTABLE:
        mode |= (mode & 0o444) >> 2
    os.chmod(staged_file, mode)


def _permitted(top: Path) -> int:
    """What the permissions of the top directory tell of the user's umask."""
    return stat.S_IMODE(top.stat().st_mode) | 0o700


def _parents(path: bytes) -> list[bytes]:
    """The directories of a path, the nearest first."""
    parts = path.split(b"/")[:-1]
    return [b"/".join(parts[:end]) for end in range(len(parts), 0, -1)]


@contextmanager
def _parent(top: int, path: bytes) -> Iterator[tuple[int, bytes]]:
    """A descriptor of the directory that a path is in, and the name in it. Raises OSError."""
    *parts, name = path.split(b"/")
    if any(part in (b"", b".", b"..") or part.lower() == b".git" for part in (*parts, name)):
        raise BangerError(Code.GUEST_FAILED, "a path of the guest leads out of the repository")
    descriptor = os.dup(top)
    try:
        for part in parts:
            below = os.open(part, _OPEN_DIRECTORY, dir_fd=descriptor)
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
    top: Path, change: TreeChange, gone: Collection[bytes], emptied: Collection[bytes]
) -> bool:
    """Whether a file that the merge does not know is in the way of a new one."""
    if change.old_mode:
        return False
    for path in reversed([change.path, *_parents(change.path)]):
        try:
            mode = os.lstat(os.path.join(os.fsencode(top), path)).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return False
        if path in gone:
            return False
        if stat.S_ISDIR(mode) and (path != change.path or path in emptied):
            continue
        return True
    return False


def _refusal(error: OSError, where: Path) -> BangerError:
    place = printable(str(where))
    if is_full(error):
        return BangerError(
            Code.NO_SPACE, f"the disk of {place} is full", hint="nothing was changed; free space"
        )
    named = printable(os.fsdecode(error.filename)) if error.filename else ""
    return BangerError(
        Code.DENIED,
        f"cannot write to {place}: {error.strerror}{f' ({named})' if named else ''}",
        hint="nothing was changed",
    )


