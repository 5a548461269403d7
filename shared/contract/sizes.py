"""Sizes as people write them, and what a VM gets of the host by default.

Units are powers of 1024, with or without "iB" or "B": 512M, 2G, 8GiB.
"""

import os
import re
from typing import NamedTuple

from shared.errors import BangerError, Code

MIB = 1024 * 1024
FLOOR_MEMORY_MIB = 512
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
    """Bytes in "8G", "512MiB" or "1073741824". Raises ``invalid``."""
    match = re.fullmatch(_SIZE, text.strip(), re.IGNORECASE | re.ASCII)
    if match is None:
        raise BangerError(
            Code.INVALID, f"{text!r} is not a valid size", hint="use a number and a unit: 8G, 512M"
        )
    return int(match[1]) * _UNITS[match[2].upper()]


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
