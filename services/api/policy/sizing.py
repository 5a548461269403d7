"""How large a VM is: what was asked, else the configuration, else a share of the host.

Pure: the host's own size is handed in.
"""

from dataclasses import asdict, dataclass

from shared.config import DefaultsConfig
from shared.contract.messages.vm_request import VmCreate
from shared.contract.sizes import (
    HostCapacity,
    check_sizes,
    default_memory_mib,
    default_vcpu,
    parse_bytes,
    show_bytes,
)


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
        capacity=host,
        vcpu=sizes.vcpu,
        memory=sizes.memory_mib,
        disk=sizes.disk_bytes,
        overlay=sizes.overlay_bytes,
    )
    return sizes


def _first(*choices: int | None) -> int:
    return next(choice for choice in choices if choice is not None)
