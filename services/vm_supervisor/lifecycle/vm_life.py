"""What is known of one VM: the facts that all parts of its supervision share."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.handle_file import note_handle
from services.vm_supervisor.launch.launcher import VmmLauncher
from services.vm_supervisor.launch.readiness import head_start
from services.vm_supervisor.lifecycle.guest_tasks import GuestTasks
from services.vm_supervisor.lifecycle.process import SupervisorProcess
from services.vm_supervisor.ports.asleep_ports import AsleepPorts
from services.vm_supervisor.ports.publishing import PublishedPorts
from services.vm_supervisor.running_vm import RunningVm
from shared.config import Config
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.vm import LONGEST_REASON, State, Vm
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.plain_text import printable
from shared.vm.asleep import forget_asleep

PART_SECONDS = 2.0
"""What a guest that is about to be paused may take to close its agent's connection."""


class VmLife:
    """The VM of one supervisor. ``running`` is None while there is no VMM, ``agent`` until it has
    answered; ``over`` is set when the VM has ended for good, or sleeps. ``asleep`` is there from
    the moment in which a VM falls asleep until it runs again and everybody who came is with it."""

    def __init__(
        self,
        spec: SupervisorSpec,
        config: Config,
        launcher: VmmLauncher,
        log: Log,
        process: SupervisorProcess,
    ) -> None:
        self.state: State = spec.vm.state
        self.reason = ""
        self.running: RunningVm | None = None
        self.agent: Agent | None = None
        self.over = asyncio.Event()
        self.asleep: AsleepPorts | None = None
        self.woken: AsleepPorts | None = None
        """What held the ports until the guest ran on."""
        self.end_asked = False
        """Whether somebody has asked for the end of the VMM."""
        self.leaving = False
        """Whether this process ends, and a successor goes on with what there is."""
        self.ending = False
        """Whether the VM's last state is being stored, after which this process ends."""
        self.forgotten = False
        """Whether the VM is being deleted: nobody wants to know its state any more."""
        self.changing = asyncio.Lock()
        """Held while the machine is changed, paused, resumed or saved: one after another."""
        self.spec = spec
        self.config = config
        self.launcher = launcher
        self.log = log
        self.process = process
        self.run = launcher.paths.vm_run(spec.vm.id)
        self.directory = launcher.paths.vm_state(spec.vm.id)
        self.ports = PublishedPorts(spec.vm.network, self.run, log)
        self.tasks = GuestTasks(process, self.run, log)

    @property
    def vm(self) -> Vm:
        """The row as it is wanted: the one copy here, replaced whole by ``Supervision.apply``."""
        return self.spec.vm

    def reached(self, running: RunningVm, agent: Agent) -> None:
        """The guest's agent has answered."""
        self.agent = agent
        note_handle(self.run, running.handle, self.log)
        if not self.end_asked and self.vm.keeper != "pool":
            after = head_start(running.handle.accel)
            self.tasks.start_polling(self.vm, running, agent, after=after)

    @asynccontextmanager
    async def agent_parted(self) -> AsyncIterator[None]:
        """Inside, the guest may be paused and saved (``Agent.parted``)."""
        if self.agent is None:
            yield
            return
        async with self.agent.parted(time.monotonic() + PART_SECONDS):
            yield

    async def report(
        self, state: State, reason: str = "", *, stored: bool = False, wakes: bool = False
    ) -> None:
        """Return when the store has the state. ``stored``: the row says so already. The reason may
        quote a guest or its VMM."""
        reason = printable(reason, LONGEST_REASON)
        self.state, self.reason = state, reason
        if not stored and not self.forgotten:
            await self.process.store_state(state, reason, wakes=wakes)

    def end_sleep(self) -> None:
        """The VM does not come back by itself any more; nothing happens if it is not asleep."""
        if self.asleep:
            forget_asleep(self.directory)
            self.asleep.close()
            self.asleep = None

    async def finish(self) -> None:
        """Nothing is left to supervise: the process ends once its last verb is answered."""
        self.over.set()
        await self.process.leave()

    def refuse_ended(self) -> None:
        """Raises ``unavailable`` when the VMM has ended, and what comes next is not known yet."""
        if self.running and not self.running.handle.alive:
            raise BangerError(Code.UNAVAILABLE, "the VMM has ended this moment")

    def refuse_if_over(self) -> None:
        """Raises ``unavailable`` when the VM has ended and this supervisor is about to."""
        if self.ending or (self.over.is_set() and self.asleep is None):
            raise BangerError(Code.UNAVAILABLE, "this supervisor is ending, its VM has stopped")
