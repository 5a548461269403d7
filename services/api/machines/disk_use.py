"""What VMs occupy on this host's disk."""

from collections.abc import Iterable
from pathlib import Path

from shared.contract.messages.image_work import SpaceUsed

BLOCK = 512
"""st_blocks counts units of 512 bytes (stat(2))."""


def used_by_vms(directories: Iterable[Path]) -> SpaceUsed:
    """The files in the VMs' directories, holes not counted. Reads the disk."""
    found = list(directories)
    return SpaceUsed(kind="vms", count=len(found), real_bytes=sum(map(_occupied, found)))


def _occupied(directory: Path) -> int:
    total = 0
    try:
        for path in directory.iterdir():
            total += path.lstat().st_blocks * BLOCK
    except FileNotFoundError:  # made at the first start, and gone with a VM deleted meanwhile
        pass
    return total
