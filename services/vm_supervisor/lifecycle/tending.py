"""What runs beside a guest that runs: its limits, its forwards, its clock."""

import time
from pathlib import Path

from services.vm_supervisor.drivers.contract import UserNetwork
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.handle_file import note_handle
from services.vm_supervisor.launch.launcher import Guest
from services.vm_supervisor.ports.forwards import Forwards
from shared.contract.messages.vm import Vm
from shared.errors import BangerError
from shared.host.cgroup import Limits, confine
from shared.logs import Log
from shared.vm.jail import is_jailed

CLOCK_SECONDS = 10.0


def limit(vm: Vm, guest: Guest, log: Log) -> None:
    """Put the VMM into a control group of its own; a host without them runs it all the same.
    A jailed one is in its group from the start."""
    if is_jailed(guest.handle.process):
        return
    unlimited = confine(vm.id, guest.handle.pid, Limits(vm.vcpu, vm.memory_mib))
    if unlimited:
        log.info("the VMM is not limited in everything", reason=unlimited)


async def follow_ports(
    vm: Vm, network: UserNetwork, guest: Guest, agent: Agent, run: Path, log: Log
) -> None:
    """Forward what the guest listens on, and note it in the handle."""

    def changed(ports: dict[str, int]) -> None:
        guest.handle.ports = ports
        note_handle(run, guest.handle, log)

    known = guest.handle.ports
    await Forwards(network, agent, vm.address, known, log, changed).follow()


async def set_clock(agent: Agent, log: Log) -> None:
    """After a pause, in which the guest's clock stood still."""
    try:
        await agent.set_time(time.monotonic() + CLOCK_SECONDS)
    except BangerError as error:
        log.warning("the guest's clock was not set", error=error.message)
