"""The tasks that run beside one guest and end with its VMM, and what they do.

A guest drives them, so none of them ends the supervisor: what one raises is logged, and one that
is to go on is run again.
"""

import asyncio
import time
from pathlib import Path

from services.vm_supervisor.drivers.contract import UserNetwork
from services.vm_supervisor.guest import clock
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.handle_file import note_handle
from services.vm_supervisor.lifecycle.process import SupervisorProcess
from services.vm_supervisor.ports.forwards import Forwards
from services.vm_supervisor.running_vm import RunningVm
from shared.bus.background import Run, contain, keep_running
from shared.contract.messages.vm import Vm
from shared.errors import BangerError
from shared.host.cgroup import Limits, confine
from shared.log_limit import LogLimit
from shared.logs import Log
from shared.vm import files
from shared.vm.jail import is_jailed

CLOCK_SECONDS = 10.0
"""What the agent may take to set the clock."""
LOG_SECONDS = 5.0
"""Between looks at the sizes of the logs."""


class GuestTasks:
    """At most one of them polls the guest's ports. ``run``: the VM's run directory."""

    def __init__(self, process: SupervisorProcess, run: Path, log: Log) -> None:
        self._process = process
        self._run = run
        self._log = log
        self._tasks: list[asyncio.Task[None]] = []
        self._polling: asyncio.Task[None] | None = None

    def add(self, name: str, run: Run) -> None:
        """Run a task until it ends or the VMM does; again after an error."""
        self._tasks.append(self._process.spawn(keep_running(name, run, self._log)))

    def run_once(self, name: str, run: Run) -> None:
        """Run a task; an error in it is logged."""

        async def contained() -> None:
            await contain(name, run, self._log)

        self._tasks = [each for each in self._tasks if not each.done()]
        self._tasks.append(self._process.spawn(contained()))

    def start_polling(
        self, vm: Vm, running: RunningVm, agent: Agent, *, after: float = 0.0
    ) -> None:
        """User mode: forward the ports that the guest listens on, as they come and go. It is asked
        for them for the first time ``after`` seconds."""
        self.stop_polling()
        network = running.machine.user_network
        if network and vm.network == "user":
            forwards = forwards_of(vm, network, running, agent, self._run, self._log)
            self._polling = self._process.spawn(self._follow(forwards, after))

    async def _follow(self, forwards: Forwards, after: float) -> None:
        await asyncio.sleep(after)
        await keep_running("forwards", forwards.follow, self._log)

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


def forwards_of(
    vm: Vm, network: UserNetwork, running: RunningVm, agent: Agent, run: Path, log: Log
) -> Forwards:
    """Forwards for the ports that the guest listens on, which are noted in the handle."""

    def changed(ports: dict[str, int], unforwarded: int) -> None:
        running.unforwarded = unforwarded
        if running.handle.ports != ports:
            running.handle.ports = ports
            note_handle(run, running.handle, log)

    ports, relays_udp = running.handle.ports, running.relays_udp
    return Forwards(network, agent, vm.address, ports, log, changed, relays_udp=relays_udp)


async def limit_logs(state: Path, log: Log) -> None:
    """Keep what VMM and guest write from filling the disk, until cancelled."""
    limit, paths = LogLimit(), [state / name for name in files.GUEST_WRITTEN]
    while True:
        for problem in limit.apply(paths):
            log.warning(problem)
        await asyncio.sleep(LOG_SECONDS)


async def set_clock(agent: Agent, log: Log) -> None:
    """Set the guest's clock, which stood still during a pause."""
    try:
        await clock.set_clock(agent, time.monotonic() + CLOCK_SECONDS)
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
