"""What of a changed row can be applied while the VM runs; the rest of it is for the next boot."""

from services.vm_supervisor.ports.publishing import PublishedPorts
from services.vm_supervisor.running_vm import RunningVm
from shared.contract.messages.vm import Vm
from shared.errors import BangerError


async def apply_row(running: RunningVm, ports: PublishedPorts, before: Vm, wanted: Vm) -> None:
    """Make the VM what ``wanted`` says: published ports, and the way out in user mode. When one
    thing is refused, all stays as it was.

    Raises:
        BangerError: as ``PublishedPorts.change``; ``not_running`` when the VMM is gone.
    """
    await ports.change(before.publish, wanted.publish, running.handle)
    try:
        await set_uplink(running, wanted)
    except BangerError:
        await ports.change(wanted.publish, before.publish, running.handle)
        raise
    # A new name belongs here: the guest's hostname, by its agent where that answers.


async def set_uplink(running: RunningVm, vm: Vm) -> None:
    """Open or close the guest's way out as the row says; in bridge mode nat does that."""
    network = running.machine.user_network
    if network and vm.network == "user":
        await network.set_uplink(on=vm.nat)
