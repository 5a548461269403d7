"""How large a VM is: what was asked, else the configuration, else a share of the host.

Pure: the host's own size is handed in.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from shared.config import DefaultsConfig
from shared.contract.messages.vm import VmCreate
from shared.contract.sizes import (
    MIB,
    HostCapacity,
    default_memory_mib,
    default_vcpu,
    parse_bytes,
    show_bytes,
)
from shared.errors import BangerError, Code

MIN_MEMORY_MIB = 128
MIN_DISK_BYTES = 64 * MIB
MAX_DISK_BYTES = 16 * 1024**4
"""ext4 with 4 KiB blocks (ext4(5))."""


@dataclass(frozen=True)
class Sizes:
    vcpu: int
    memory_mib: int
    disk_bytes: int
    overlay_bytes: int

    def fields(self) -> dict[str, int]:
        """As fields of ``VmSpec``."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.vcpu} vcpu | {self.memory_mib} MiB | {show_bytes(self.disk_bytes)} disk"


def choose_sizes(request: VmCreate, defaults: DefaultsConfig, host: HostCapacity) -> Sizes:
    """Raises ``invalid`` for what cannot be, naming what the host has."""
    sizes = Sizes(
        vcpu=_first(request.vcpu, defaults.vcpu, default_vcpu(host.cpus)),
        memory_mib=_first(
            request.memory_mib, defaults.memory_mib, default_memory_mib(host.memory_mib)
        ),
        disk_bytes=_first(request.disk_bytes, parse_bytes(defaults.disk)),
        overlay_bytes=_first(request.overlay_bytes, parse_bytes(defaults.overlay)),
    )
    check_sizes(
        host,
        vcpu=sizes.vcpu,
        memory=sizes.memory_mib,
        disk=sizes.disk_bytes,
        overlay=sizes.overlay_bytes,
    )
    return sizes


def check_sizes(
    host: HostCapacity,
    *,
    vcpu: int | None = None,
    memory: int | None = None,
    disk: int | None = None,
    overlay: int | None = None,
) -> None:
    """Raises ``invalid`` for a size that this host cannot give; None is not looked at."""
    if vcpu is not None:
        _check_range("vcpu", vcpu, 1, host.cpus, str)
    if memory is not None:
        _check_range("memory", memory, MIN_MEMORY_MIB, host.memory_mib, "{} MiB".format)
    for what, size in (("disk", disk), ("overlay", overlay)):
        if size is not None:
            _check_range(f"{what} size", size, MIN_DISK_BYTES, MAX_DISK_BYTES, show_bytes)


def _first(*choices: int | None) -> int:
    return next(choice for choice in choices if choice is not None)


def _check_range(what: str, value: int, least: int, most: int, show: Callable[[int], str]) -> None:
    if value < least:
        problem = f"too small: the least is {show(least)}"
    elif value > most:
        problem = f"too large: the most is {show(most)}"
    else:
        return
    raise BangerError(Code.INVALID, f"{what} {show(value)} is {problem}")
