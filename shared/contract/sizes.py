"""Sizes as people write them, their ranges, and what a VM gets of the host by default.

Units are powers of 1024, with or without "iB" or "B": 512M, 2G, 8GiB.
"""

import os
import re
from collections.abc import Callable
from typing import NamedTuple

from shared.errors import BangerError, Code

MIB = 1024 * 1024
FLOOR_MEMORY_MIB = 512
VCPU_MOST = 4096
"""More than any VMM has (QEMU's q35: 4096)."""
MEMORY_MIB = range(128, 64 * 1024**2 + 1)
"""From what a Debian guest boots with to the 46 bits of address that most processors have."""
DISK_BYTES = range(64 * MIB, 16 * 1024**4 + 1)
"""Up to the largest ext4 with blocks of 4 KiB (ext4(5))."""
BYTES_MOST = 1024**5
"""The largest size that is read: it fits in every integer of messages and of the database."""
MAX_DEFAULT_VCPU, MAX_DEFAULT_MEMORY_MIB = 4, 8192

_UNITS = {"": 1, "K": 1024, "M": MIB, "G": 1024**3, "T": 1024**4}
_SIZE = r"(\d{1,15})([KMGT]?)(?:i?B)?"  # compiled when it is needed: a listing only shows sizes


class HostCapacity(NamedTuple):
    """What a machine has: processors, and memory in MiB."""

    cpus: int
    memory_mib: int


def host() -> HostCapacity:
    """This machine: the processors that this process may use (sched_setaffinity(2)), its memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return HostCapacity(cpus=len(os.sched_getaffinity(0)), memory_mib=memory // MIB)


def parse_bytes(text: str) -> int:
    """Bytes in "8G", "512MiB" or "1073741824", at most ``BYTES_MOST``. Raises ``invalid``."""
    match = re.fullmatch(_SIZE, text.strip(), re.IGNORECASE | re.ASCII)
    if match is None:
        raise BangerError(
            Code.INVALID, f"{text!r} is not a valid size", hint="use a number and a unit: 8G, 512M"
        )
    size = int(match[1]) * _UNITS[match[2].upper()]
    if size > BYTES_MOST:
        raise BangerError(
            Code.INVALID, f"{text!r} is too large: the most is {show_bytes(BYTES_MOST)}"
        )
    return size


def check_sizes(
    *,
    vcpu: int | None = None,
    memory: int | None = None,
    disk: int | None = None,
    overlay: int | None = None,
    capacity: HostCapacity | None = None,
) -> None:
    """Refuse a size that no VM may have, or that a host of this capacity cannot give. The api and
    nat both use this one check. Memory is in MiB, disks are in bytes; None is not looked at.

    Raises:
        BangerError: ``invalid``, naming the bound.
    """
    cpus, mib = capacity or (VCPU_MOST, MEMORY_MIB[-1])
    if vcpu is not None:
        _check_range("vcpu", vcpu, 1, min(cpus, VCPU_MOST), str)
    if memory is not None:
        _check_range("memory", memory, MEMORY_MIB[0], min(mib, MEMORY_MIB[-1]), "{} MiB".format)
    for what, size in (("disk", disk), ("overlay", overlay)):
        if size is not None:
            _check_range(f"{what} size", size, DISK_BYTES[0], DISK_BYTES[-1], show_bytes)


def _check_range(what: str, value: int, least: int, most: int, show: Callable[[int], str]) -> None:
    if value < least:
        problem = f"too small: the least is {show(least)}"
    elif value > most:
        problem = f"too large: the most is {show(most)}"
    else:
        return
    raise BangerError(Code.INVALID, f"{what} {show(value)} is {problem}")


def show_bytes(size: int) -> str:
    """``size`` in the largest unit that divides it: "8G", "513M"."""
    for unit in ("T", "G", "M", "K"):
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit}"
    return f"{size}B"


def default_vcpu(host_cpus: int) -> int:
    """A quarter of the host's processors: at least one, at most ``MAX_DEFAULT_VCPU``."""
    return max(1, min(MAX_DEFAULT_VCPU, host_cpus // 4))


def default_memory_mib(host_mib: int) -> int:
    """An eighth of the host's memory: at least ``FLOOR_MEMORY_MIB``, at most
    ``MAX_DEFAULT_MEMORY_MIB``."""
    return max(FLOOR_MEMORY_MIB, min(MAX_DEFAULT_MEMORY_MIB, host_mib // 8))
