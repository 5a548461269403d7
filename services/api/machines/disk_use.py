"""What VMs occupy on this host's disk."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from shared.contract.messages.image_work import SpaceUsed

BLOCK = 512
"""st_blocks counts units of 512 bytes (stat(2))."""


def used_by_vms(directories: Iterable[Path]) -> SpaceUsed:
    """The files in the VMs' directories with their snapshots, holes not counted. Reads the disk."""
    found = list(directories)
    return SpaceUsed(kind="vms", count=len(found), real_bytes=sum(map(occupied, found)))


def allocated(path: Path) -> int:
    """What one file takes; 0 without it."""
    try:
        return path.stat().st_blocks * BLOCK
    except FileNotFoundError:
        return 0


def occupied(directory: Path) -> int:
    """What all files in a directory take. A file that has several names there, as memory of a
    snapshot that a VM was restored from, counts once. Blocks that reflinks share are counted."""
    found: dict[int, int] = {}
    for place, _, names in os.walk(directory):  # nothing where it is not there
        for name in names:
            with suppress(FileNotFoundError):  # gone with a VM deleted meanwhile
                status = os.lstat(f"{place}/{name}")
                found[status.st_ino] = status.st_blocks * BLOCK
    return sum(found.values())
