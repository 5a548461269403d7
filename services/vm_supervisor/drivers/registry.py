"""What drives each VMM. A new one is a line here and one in shared/vmm/registry.py."""

from importlib import import_module

from services.vm_supervisor.drivers.contract import Driver, Jailer
from shared.config import Config
from shared.vmm.registry import VMMS

MODULES = {
    "firecracker": "services.vm_supervisor.drivers.firecracker.jail",
    "qemu": "services.vm_supervisor.drivers.qemu.driver",
}
"""Name of a VMM → the module whose ``make_driver(config, jailer)`` makes its driver. Imported for
a VM that needs it: every supervisor pays for what it imports."""


def make_driver(name: str, config: Config, jailer: Jailer) -> Driver:
    """The driver of the VMM called ``name``."""
    driver: Driver = import_module(MODULES[name]).make_driver(config, jailer)
    return driver


def import_ahead() -> None:
    """Import the driver of the VMM that runs everywhere, before there is a VM that waits for it."""
    import_module(MODULES[VMMS[-1].name])
