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
_HOSTNAME = "/proc/sys/kernel/hostname"
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
        for path in (_HOSTNAME, "/etc/hostname"):
            await agent.write_file(path, f"{name}\n".encode(), deadline)
        hosts = await agent.read_file("/etc/hosts", deadline)
        own = f"127.0.1.1 {name}.vm {name}".encode()
        await agent.write_file("/etc/hosts", _OWN_NAME.sub(own, hosts), deadline)
    except BangerError as error:
        log.warning("hostname not changed in the guest", name=name, error=error.message)


async def keep_hostname(agent: Agent, name: str, log: Log) -> None:
    """Give a guest that goes on another hostname when the VM was renamed meanwhile."""
    try:
        has = await agent.read_file(_HOSTNAME, time.monotonic() + HOSTNAME_SECONDS)
    except BangerError as error:
        log.warning("hostname not read in the guest", name=name, error=error.message)
        return
    if has.decode(errors="replace").strip() != name:
        await set_hostname(agent, name, log)


async def set_uplink(running: RunningVm, vm: Vm) -> None:
    """Open or close the guest's way out as the row says; in bridge mode nat does that."""
    network = running.machine.user_network
    if network and vm.network == "user":
        await network.set_uplink(on=vm.nat, literal=vm.allow)
