"""What of a changed row can be applied while the VM runs; the rest of it is for the next boot."""

import re
import time

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.ports.publishing import PublishedPorts
from services.vm_supervisor.running_vm import RunningVm
from shared.contract.messages.vm import Vm
from shared.errors import BangerError
from shared.logs import Log

HOSTNAME_SECONDS = 5.0
_OWN_NAME = re.compile(rb"^127\.0\.1\.1[ \t].*$", re.MULTILINE)


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


async def set_hostname(agent: Agent, name: str, log: Log) -> None:
    """Give the guest another hostname, as rootfs/start does at a boot. A guest whose agent does
    not answer gets it at its next start."""
    deadline = time.monotonic() + HOSTNAME_SECONDS
    try:
        for path in ("/proc/sys/kernel/hostname", "/etc/hostname"):
            await agent.write_file(path, f"{name}\n".encode(), deadline)
        hosts = await agent.read_file("/etc/hosts", deadline)
        own = f"127.0.1.1 {name}.vm {name}".encode()
        await agent.write_file("/etc/hosts", _OWN_NAME.sub(own, hosts), deadline)
    except BangerError as error:
        log.warning("hostname not changed in the guest", name=name, error=error.message)


async def set_uplink(running: RunningVm, vm: Vm) -> None:
    """Open or close the guest's way out as the row says; in bridge mode nat does that."""
    network = running.machine.user_network
    if network and vm.network == "user":
        await network.set_uplink(on=vm.nat, literal=vm.allow)
