"""One launch of a VMM: which, of what machine, and what a successor will know of it."""

from dataclasses import dataclass
from pathlib import Path

from services.vm_supervisor.drivers.contract import Driver, Machine, MachineSpec
from services.vm_supervisor.ports.asleep_ports import AsleepPorts
from shared.contract.ssh_access import Access
from shared.host.boot_id import host_boot_id
from shared.vm import files
from shared.vm.handle import Beginning, Handle
from shared.vm.saved import MachineFacts


@dataclass
class LaunchPlan:
    """``facts``: what must be the same where this machine, saved, is started, if that is known.
    ``asleep``: who has the ports of a VM that wakes."""

    driver: Driver
    spec: MachineSpec
    access: Access
    facts: MachineFacts | None = None
    beginning: Beginning = "boot"
    asleep: AsleepPorts | None = None

    @property
    def saved(self) -> Path | None:
        """What the VMM is to load; None for a boot."""
        return None if self.beginning == "boot" else self.spec.state / files.SUSPENDED

    def handle_of(self, machine: Machine) -> Handle:
        """The handle of a VMM that has been started, and whose guest does not run yet."""
        return Handle(
            vm_id=self.spec.place.vm_id,
            host_boot=host_boot_id(),
            pid=machine.process.pid,
            start_time=machine.process.start_time,
            vmm=self.driver.info.name,
            accel=self.spec.accelerator.accel.value,
            access=self.access,
            console_start=machine.console_start,
            beginning=self.beginning,
            loading=self.saved is not None,
            facts=self.facts,
        )
