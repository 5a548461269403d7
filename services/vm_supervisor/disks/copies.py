"""Copies of what a VM is made of: its two disks, and the memory of a saved machine.

A copy shares the blocks of the original where the filesystem can do that, else it has no holes
filled. Memory that was saved is never written to again, so a copy of it is another link.
"""

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
    """Copy the disks of the directory ``source`` to ``target``. Nothing is flushed to the disk.

    Raises:
        BangerError: ``not_found`` without disks, ``no_space``, ``denied``.
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
    """Give ``target`` the memory of the saved machine ``source``, if that has some.

    Raises:
        BangerError: ``no_space``, ``denied``.
    """
    for name in MEMORY:
        if not (source / name).exists():
            continue
        try:
            try:
                os.link(source / name, target / name)
            except OSError as error:
                if is_full(error):
                    raise
                copy_sparse(source / name, target / name)  # as a filesystem without links wants
        except OSError as error:
            raise refused(target / name, error) from error


def disk_bytes(directory: Path) -> int:
    """What the disks in ``directory`` occupy."""
    return sum(occupied(directory / name) for name in DISKS)


def occupied(path: Path) -> int:
    """The space that a file takes on its disk; 0 without one."""
    try:
        return path.stat().st_blocks * BLOCK
    except FileNotFoundError:
        return 0


def require_room(directory: Path, needed: int, what: str) -> None:
    """Raise ``no_space`` unless ``needed`` bytes more fit where ``directory`` is."""
    hint = "delete VMs or snapshots; see what takes the space: banger system df"
    require_space(directory, needed, what, hint)


def real_bytes(directory: Path) -> int:
    """What all files in ``directory`` occupy."""
    return sum(occupied(path) for path in directory.iterdir())


def shares_blocks(directory: Path) -> bool:
    """Whether copies in ``directory`` share the blocks of their originals. It is tried.

    Raises:
        BangerError: ``no_space``, ``denied``.
    """
    one, other = directory / ".one", directory / ".other"
    try:
        one.write_bytes(b"x" * BLOCK)
        return copy_sparse(one, other) == "reflink"
    except OSError as error:
        raise refused(one, error) from error
    finally:
        one.unlink(missing_ok=True)
        other.unlink(missing_ok=True)
