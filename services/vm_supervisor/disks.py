"""A VM's two sparse ext4 disks: the system overlay and the work disk (/root).

Made by mke2fs without privilege in milliseconds: tables are initialised lazily, blocks are
allocated as the guest writes.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """Bytes: the size the guest sees, and what it takes on the host."""

    apparent: int
    allocated: int


def create_overlay(path: Path, size: int) -> None:
    """Make the system overlay of ``size`` bytes unless it is there. Raises ``no_space``."""
    raise NotImplementedError


def create_work_disk(path: Path, size: int) -> None:
    """Make the work disk (root:root 0755) of ``size`` bytes unless it is there."""
    raise NotImplementedError


def grow(path: Path, size: int) -> None:
    """Grow the disk of a stopped VM to ``size`` bytes. Raises ``invalid`` when it would shrink."""
    raise NotImplementedError


def usage(path: Path) -> Usage:
    """Raises ``not_found`` when there is no such disk."""
    raise NotImplementedError
