"""Every VMM there is. A new one is a line here and one in the registry of drivers.

services/vm_supervisor/drivers/registry.py has the drivers.
"""

from typing import TYPE_CHECKING

from shared.errors import BangerError, Code
from shared.vmm.firecracker.info import Firecracker
from shared.vmm.info import DriverInfo, JailSettings
from shared.vmm.qemu.info import Qemu

if TYPE_CHECKING:
    from shared.config import Config

AUTO = "auto"
"""In place of a name: the first that can run the VM when it is started."""

VMMS: list[DriverInfo] = [Firecracker(), Qemu()]
"""In the order in which ``auto`` asks them. The last one runs wherever banger does."""


def driver_info(name: str) -> DriverInfo:
    """The VMM called ``name``. Raises ``invalid`` when there is none."""
    for info in VMMS:
        if info.name == name:
            return info
    raise BangerError(
        Code.INVALID,
        f"there is no VMM called {name!r}",
        hint=f"use one of: {', '.join(choices())}",
    )


def jailed_vmm(config: "Config") -> tuple[DriverInfo, JailSettings]:
    """The VMM that nat can put into a jail, and how; there is one."""
    return next((info, jail) for info in VMMS if (jail := info.jail(config)))


def choices() -> list[str]:
    """What may be asked for: ``auto`` and every name."""
    return [AUTO, *(info.name for info in VMMS)]


def explain_auto() -> str:
    """What ``auto`` means, for help texts: "Firecracker where it can, else QEMU"."""
    return " where it can, else ".join(info.title for info in VMMS)


def check_wanted(wanted: str) -> None:
    """Raises ``invalid`` for what is neither ``auto`` nor a VMM's name."""
    if wanted != AUTO:
        driver_info(wanted)
