"""Copies of the files of a VM: its two disks, what is known of its workspaces, and the memory of a
saved machine.

A copy of a disk shares the blocks of the original where the filesystem can do that (reflink); else
it is a sparse file. Saved memory is never written to again, so a hard link serves as its copy.
"""

import contextlib
import os
from pathlib import Path

from shared.errors import BangerError, Code
from shared.host.files import is_full, require_space
from shared.vm import files
from shared.vm.publish_saved import refused
from shared.vm.saved import CopyMethod
from shared.vm.sparse import copy_sparse

DISKS = (files.OVERLAY, files.WORK_DISK)
MEMORY = (files.MEMORY, files.DEVICE_STATE)
BLOCK = 512
"""st_blocks counts units of 512 bytes (stat(2))."""


def copy_disks(source: Path, target: Path) -> CopyMethod:
    """Copy the disks in directory ``source`` to ``target``; returns how. Flushes nothing to disk.

    Raises:
        BangerError: ``not_found`` when a disk is missing, ``no_space``, ``denied``.
    """
    methods: set[CopyMethod] = set()
    for name in DISKS:
        try:
            methods.add(copy_sparse(source / name, target / name))
        except FileNotFoundError:
            raise BangerError(Code.NOT_FOUND, f"there is no disk {source / name}") from None
        except OSError as error:
            raise refused(target / name, error) from error
    return "reflink" if methods == {"reflink"} else "sparse"


def link_memory(source: Path, target: Path) -> None:
    """Link the memory of the saved machine ``source`` into ``target``, if it has memory.

    Copies it where the filesystem has no hard links.

    Raises:
        BangerError: ``no_space``, ``denied``.
    """
    for name in MEMORY:
        if (source / name).exists():
            _link(source / name, target / name)


def link_workspaces(source: Path, target: Path) -> None:
    """Link what is known of the workspaces in ``source``, a VM's directory or a saved machine's,
    into ``target``. The directory is there afterwards, also when there are none.

    Its files are replaced and never written to. One that is replaced meanwhile is left out, and
    then its workspace is not known.

    Raises:
        BangerError: ``no_space``, ``denied``.
    """
    into = target / files.WORKSPACES
    try:
        into.mkdir(mode=0o700)
        found = sorted((source / files.WORKSPACES).iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise refused(into, error) from error
    for path in found:
        with contextlib.suppress(FileNotFoundError):
            _link(path, into / path.name)


def _link(source: Path, target: Path) -> None:
    """Raises FileNotFoundError when ``source`` is gone."""
    try:
        try:
            os.link(source, target)
        except OSError as error:
            if is_full(error) or isinstance(error, FileNotFoundError):
                raise
            copy_sparse(source, target)  # no hard links on this filesystem
    except FileNotFoundError:
        raise
    except OSError as error:
        raise refused(target, error) from error


def disk_bytes(directory: Path) -> int:
    """Bytes that the disks in ``directory`` occupy."""
    return sum(occupied(directory / name) for name in DISKS)


def occupied(path: Path) -> int:
    """Bytes that a file occupies on disk; 0 when there is no such file."""
    try:
        return path.stat().st_blocks * BLOCK
    except FileNotFoundError:
        return 0


def require_room(directory: Path, needed: int, what: str) -> None:
    """Raise ``no_space`` unless ``needed`` bytes fit on the filesystem of ``directory``.

    ``what`` begins the sentence of the error: "a copy of the VM".
    """
    hint = "delete VMs or snapshots; see what takes the space: banger system df"
    require_space(directory, needed, what, hint)


def real_bytes(directory: Path) -> int:
    """Bytes that all files in ``directory`` occupy."""
    return sum(occupied(path) for path in directory.iterdir())


def shares_blocks(directory: Path) -> bool:
    """Whether copies in ``directory`` share the blocks of their originals, by making one. False on
    a full disk: whoever asks goes on to say what is needed.

    Raises:
        BangerError: ``denied``.
    """
    one, other = directory / ".one", directory / ".other"
    try:
        one.write_bytes(b"x" * BLOCK)
        return copy_sparse(one, other) == "reflink"
    except OSError as error:
        if is_full(error):
            return False
        raise refused(one, error) from error
    finally:
        one.unlink(missing_ok=True)
        other.unlink(missing_ok=True)
