"""A VM's two sparse ext4 disks: the system overlay and the work disk (/root).

mke2fs makes them without privilege in milliseconds: tables are initialised lazily, blocks are
allocated as the guest writes. They have a journal, because a VMM may be killed at any time and what
the guest has synced must be there at the next start.
"""

import errno
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from shared.errors import BangerError, Code
from shared.host.files import is_full, move_into_place
from shared.host.programs import search_path
from shared.plain_text import printable
from shared.vm import files

WORDS_MAX = 200
"""Characters of what a program says of a filesystem."""


@dataclass(frozen=True)
class Usage:
    """Bytes: the size that the guest sees, and the space that the disk takes on the host."""

    apparent: int
    allocated: int


def refuse_lost(state: Path) -> None:
    """Check that a VM that has run still has its disks. ``state``: its directory.

    A VMM writes its console's log once it has the disks, so they were there if the log is. An empty
    disk in place of a lost one would look like a new machine.

    Raises:
        BangerError: ``not_found``, naming the disk that is missing.
    """
    if not (state / files.CONSOLE_LOG).exists():
        return
    for name, title in ((files.OVERLAY, "system overlay"), (files.WORK_DISK, "work disk")):
        if not (state / name).exists():
            raise BangerError(
                Code.NOT_FOUND,
                f"the {title} of this VM is missing: {state / name}",
                hint="put the file back from a backup, or delete the VM",
            )


def ensure_overlay(path: Path, size: int) -> None:
    """Make the system overlay of ``size`` bytes at ``path``, or extend it.

    Raises:
        BangerError: ``invalid`` size, ``no_space``, ``missing_tool`` without e2fsprogs.
    """
    _create(path, size, "banger-overlay")
    extend(path, size)


def ensure_work_disk(path: Path, size: int) -> None:
    """Make the work disk of ``size`` bytes, or extend it. Its root is root:root 0755.

    sshd refuses keys when the home directory belongs to another user. Raises as ``ensure_overlay``.
    """
    _create(path, size, "banger-work")
    extend(path, size)


def extend(path: Path, size: int) -> None:
    """Extend the disk of a stopped VM to ``size`` bytes; a larger one stays as it is.

    No program of the host reads a filesystem that a guest has written: the guest grows it at its
    boot (guest/rootfs/start).

    Raises:
        BangerError: ``not_found``.
    """
    if usage(path).apparent < size:
        os.truncate(path, size)


def usage(path: Path) -> Usage:
    """The sizes of a disk. Raises ``not_found`` when there is no such disk."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise BangerError(Code.NOT_FOUND, f"there is no disk {path}") from None
    return Usage(apparent=status.st_size, allocated=status.st_blocks * 512)


def _create(path: Path, size: int, label: str) -> None:
    if path.exists():
        return
    if size < 16 << 20:
        raise BangerError(
            Code.INVALID, f"a disk of {size} bytes is too small", hint="use 16M or more"
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            os.truncate(file.fileno(), size)
        _run(mke2fs_argv(temporary, label), path)
        move_into_place(temporary, path)
    except OSError as error:
        if is_full(error):
            raise _no_space(path) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def mke2fs_argv(path: Path, label: str) -> list[str]:
    """Lazy tables; owned by root whoever makes it; no blocks reserved for root."""
    extended = "lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0"
    return ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-L", label, "-E", extended, str(path)]


def _run(argv: list[str], disk: Path) -> None:
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "PATH": search_path(), "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise BangerError(
            Code.MISSING_TOOL, f"{argv[0]} is not installed", hint="apt install e2fsprogs"
        ) from error
    if done.returncode == 0:
        return
    words = (done.stderr or done.stdout).strip()
    if os.strerror(errno.ENOSPC) in words:
        raise _no_space(disk)
    last = printable(next(reversed(words.splitlines()), ""), WORDS_MAX)
    raise BangerError(Code.INTERNAL, f"{argv[0]} failed for {disk}: {last}")


def _no_space(path: Path) -> BangerError:
    return BangerError(
        Code.NO_SPACE,
        f"no space left on the filesystem of {path.parent}",
        hint="delete VMs or images you do not need: banger vm prune, banger image delete",
    )
