"""How large a VM is: what was asked, else the configuration, else a share of the host.

Pure: the host's own size is handed in. Every size remembers where it came from, for ``doctor``
and for errors.
"""

import re
from dataclasses import dataclass

from shared.config import DefaultsConfig
from shared.errors import BangerError, Code
from shared.messages.vm import VmCreate

MIB = 1024 * 1024
MIN_MEMORY_MIB = 128
FLOOR_MEMORY_MIB = 512
MAX_DEFAULT_VCPU, MAX_DEFAULT_MEMORY_MIB = 4, 8192
MIN_DISK_BYTES = 64 * MIB
MAX_DISK_BYTES = 16 * 1024**4
"""ext4 with 4 KiB blocks (ext4(5))."""

_UNITS = {"": 1, "K": 1024, "M": MIB, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"(\d+)([KMGT]?)(?:i?B)?", re.IGNORECASE)


@dataclass(frozen=True)
class Host:
    cpus: int
    memory_mib: int


@dataclass(frozen=True)
class Sizes:
    vcpu: int
    memory_mib: int
    disk_bytes: int
    overlay_bytes: int

    def __str__(self) -> str:
        return f"{self.vcpu} vcpu | {self.memory_mib} MiB | {show_bytes(self.disk_bytes)} disk"


def choose_sizes(request: VmCreate, defaults: DefaultsConfig, host: Host) -> Sizes:
    """Raises ``invalid`` for what cannot be, naming what the host has."""
    sizes = Sizes(
        vcpu=_first(request.vcpu, defaults.vcpu, default_vcpu(host)),
        memory_mib=_first(request.memory_mib, defaults.memory_mib, default_memory_mib(host)),
        disk_bytes=_first(request.disk_bytes, parse_bytes(defaults.disk)),
        overlay_bytes=_first(request.overlay_bytes, parse_bytes(defaults.overlay)),
    )
    _check_range("vcpu", sizes.vcpu, 1, host.cpus, "CPUs")
    _check_range("memory", sizes.memory_mib, MIN_MEMORY_MIB, host.memory_mib, "MiB")
    for what, size in (("disk", sizes.disk_bytes), ("overlay", sizes.overlay_bytes)):
        _check_range(
            f"{what} size", size // MIB, MIN_DISK_BYTES // MIB, MAX_DISK_BYTES // MIB, "MiB"
        )
    return sizes


def default_vcpu(host: Host) -> int:
    return max(1, min(MAX_DEFAULT_VCPU, host.cpus // 4))


def default_memory_mib(host: Host) -> int:
    return max(FLOOR_MEMORY_MIB, min(MAX_DEFAULT_MEMORY_MIB, host.memory_mib // 8))


def parse_bytes(text: str) -> int:
    """Bytes in "8G", "512MiB" or "1073741824"; units are powers of 1024. Raises ``invalid``."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise BangerError(Code.INVALID, f"{text!r} is not a size", hint="write it like 8G or 512M")
    return int(match[1]) * _UNITS[match[2].upper()]


def show_bytes(size: int) -> str:
    """Short form in the largest unit that divides ``size``."""
    for unit in ("T", "G", "M", "K"):
        if size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit}"
    return f"{size}B"


def _first(*choices: int | None) -> int:
    return next(choice for choice in choices if choice is not None)


def _check_range(what: str, value: int, least: int, most: int, unit: str) -> None:
    if value < least:
        raise BangerError(Code.INVALID, f"{what} {value} is too small: the least is {least} {unit}")
    if value > most:
        raise BangerError(Code.INVALID, f"{what} {value} is too large: the most is {most} {unit}")
