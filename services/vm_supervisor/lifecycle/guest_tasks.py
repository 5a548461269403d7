"""The tasks that run beside one guest and end with its VMM, and what they do."""

import asyncio
import time
from pathlib import Path

from services.vm_supervisor.drivers.contract import UserNetwork
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.handle_file import note_handle
from services.vm_supervisor.lifecycle.process import SupervisorProcess, Task
from services.vm_supervisor.ports.forwards import Forwards
from services.vm_supervisor.running_vm import RunningVm
from shared.contract.messages.vm import Vm
from shared.errors import BangerError
from shared.host.cgroup import Limits, confine
from shared.logs import Log
from shared.vm.jail import is_jailed

CLOCK_SECONDS = 10.0
"""What the agent may take to set the clock."""


class GuestTasks:
    """At most one of them polls the guest's ports. ``run``: the VM's run directory."""

    def __init__(self, process: SupervisorProcess, run: Path, log: Log) -> None:
        self._process = process
        self._run = run
        self._log = log
        self._tasks: list[asyncio.Task[None]] = []
        self._polling: asyncio.Task[None] | None = None

    def add(self, task: Task) -> None:
        """Run ``task`` until it ends or the VMM does."""
        self._tasks.append(self._process.spawn(task))

    def start_polling(self, vm: Vm, running: RunningVm, agent: Agent) -> None:
        """User mode: forward the ports that the guest listens on, as they come and go."""
        self.stop_polling()
        network = running.machine.user_network
        if network and vm.network == "user":
            polling = poll_ports(vm, network, running, agent, self._run, self._log)
            self._polling = self._process.spawn(polling)

    def stop_polling(self) -> None:
        if self._polling:
            self._polling.cancel()
            self._polling = None

    def end(self) -> None:
        """Cancel them all."""
        self.stop_polling()
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()


async def poll_ports(
    vm: Vm, network: UserNetwork, running: RunningVm, agent: Agent, run: Path, log: Log
) -> None:
    """Forward the ports that the guest listens on, and note them in the handle."""

    def changed(ports: dict[str, int]) -> None:
        running.handle.ports = ports
        note_handle(run, running.handle, log)

    known = running.handle.ports
    await Forwards(network, agent, vm.address, known, log, changed).follow()


async def set_clock(agent: Agent, log: Log) -> None:
    """Set the guest's clock, which stood still during a pause."""
    try:
        await agent.set_time(time.monotonic() + CLOCK_SECONDS)
    except BangerError as error:
        log.warning("the guest's clock was not set", error=error.message)


def limit_vmm(vm: Vm, running: RunningVm, log: Log) -> None:
    """Put the VMM into a control group of its own; without control groups it runs unlimited.
    A jailed VMM is in its group from the start."""
    if is_jailed(running.handle.process):
        return
    unlimited = confine(vm.id, running.handle.pid, Limits(vm.vcpu, vm.memory_mib))
    if unlimited:
        log.info("the VMM is not limited in everything", reason=unlimited)
