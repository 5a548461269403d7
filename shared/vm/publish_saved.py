"""Publishes the directory of a saved machine: all of it, durably, or nothing.

A draft is a hidden directory beside its target, and locked (flock(2)) while the process that makes
it lives. A crash leaves a draft without a lock, which the next ``sweep`` removes. The order makes a
crash harmless at any point: the files are flushed, the description is written and flushed, and one
rename gives the directory its name.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from shared.errors import BangerError, Code
from shared.host.files import is_full, sync
from shared.vm import files
from shared.vm.saved import SavedMachine

PREFIX = ".banger-new-"


@contextmanager
def draft(parent: Path) -> Iterator[Path]:
    """Make a directory in ``parent`` for a saved machine, and ``parent`` if need be.

    The directory is removed at the end unless it was published.

    Raises:
        BangerError: ``no_space`` or ``denied`` when ``parent`` cannot be written.
    """
    try:
        parent.mkdir(mode=0o700, exist_ok=True)
        path, lock = _locked(parent)
    except OSError as error:
        raise refused(parent, error) from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def publish(work: Path, target: Path, saved: SavedMachine) -> None:
    """Flush the draft ``work`` to disk and give it the name ``target``. Blocks.

    ``saved.files`` names every file of the draft (``describe_files``).

    Raises:
        BangerError: ``conflict`` when ``target`` exists; ``no_space``, ``denied``.
    """
    try:
        for name in saved.files:
            sync(work / name)
        description = work / files.SAVED
        encoded = msgspec.json.format(msgspec.json.encode(saved), indent=2)
        description.write_bytes(encoded + b"\n")
        sync(description)
        sync(work)
        if target.exists():  # rename(2) replaces an empty directory
            raise FileExistsError
        work.rename(target)
        sync(target.parent)
    except FileExistsError:
        raise BangerError(Code.CONFLICT, f"{target} already exists") from None
    except OSError as error:
        raise refused(target, error) from error


def discard(directory: Path) -> None:
    """Remove a saved machine: first its name, atomically and durably, then its files. Does nothing
    when it does not exist.

    Raises:
        BangerError: ``no_space``, ``denied``.
    """
    hidden = (
        Path(tempfile.mkdtemp(prefix=PREFIX, dir=directory.parent)) if directory.exists() else None
    )
    if hidden is None:
        return
    try:
        directory.rename(hidden)
        sync(directory.parent)
    except OSError as error:
        raise refused(directory, error) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def sweep(parent: Path) -> list[Path]:
    """Remove the drafts in ``parent`` whose processes have ended; returns their paths."""
    left = sorted(parent.glob(f"{PREFIX}*"))
    return [path for path in left if _remove_unless_held(path)]


def refused(path: Path, error: OSError) -> BangerError:
    """The ``no_space`` or ``denied`` error for a write of ``path`` that failed with ``error``."""
    if is_full(error):
        hint = f"free some space: df -h {path.parent}"
        return BangerError(Code.NO_SPACE, f"no space left for {path}", hint=hint)
    hint = f"check owner and mode: ls -ld {path.parent}"
    return BangerError(Code.DENIED, f"cannot write {path}: {error.strerror}", hint=hint)


def _locked(parent: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # a sweep at the same moment
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.is_dir():
            return path, lock
        os.close(lock)


def _remove_unless_held(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
