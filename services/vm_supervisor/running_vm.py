"""A VM that has a VMM, as everything in a supervisor passes it around."""

from dataclasses import dataclass

from services.vm_supervisor.drivers.contract import Machine
from services.vm_supervisor.guest.channel import OpenChannel
from shared.contract.ssh_access import Access
from shared.vm.handle import Handle
from shared.vmm.info import DriverInfo


@dataclass
class RunningVm:
    """``machine`` acts on the VMM, ``handle`` is what a successor will know of it."""

    machine: Machine
    handle: Handle
    info: DriverInfo
    unforwarded: int = 0
    """User mode: how many ports the guest listens on beyond the limit of forwards."""

    adopted: bool = False
    """Another supervisor has launched it."""

    channel: OpenChannel | None = None
    """To the agent of a guest that was loaded, from before it went on, until somebody uses it."""

    relays_udp: bool = False
    """User mode: whether the UDP forwards of the handle are this supervisor's."""

    @property
    def access(self) -> Access:
        """How ssh reaches the guest."""
        return self.handle.access
