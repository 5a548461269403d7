"""One VM's life under its supervisor: takeover, changes, and every way it can end.

Every state is reported to the store until the store has it; the VMM is watched by pidfd. How it
boots is decided in booting.py, how it is stopped in stopping.py, and what the end of the VMM means
in vmm_end.py.
"""

import asyncio
import signal
import time
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from services.vm_supervisor.disks.placement import clear_up
from services.vm_supervisor.disks.uninterrupted import in_thread
from services.vm_supervisor.handle_file import keep_handle
from services.vm_supervisor.launch.launcher import ReportProgress, VmmLauncher
from services.vm_supervisor.lifecycle import recovery, vmm_end
from services.vm_supervisor.lifecycle.booting import Booting
from services.vm_supervisor.lifecycle.guest_tasks import limit_logs, set_clock
from services.vm_supervisor.lifecycle.live_changes import apply_row, set_hostname
from services.vm_supervisor.lifecycle.process import SupervisorProcess
from services.vm_supervisor.lifecycle.saving import Saving
from services.vm_supervisor.lifecycle.stopping import Stopping
from services.vm_supervisor.lifecycle.vm_life import VmLife
from services.vm_supervisor.lifecycle.waiting import Waiting
from services.vm_supervisor.ports.asleep_ports import AsleepPorts
from services.vm_supervisor.running_vm import RunningVm
from shared.bus.background import contain
from shared.config import Config
from shared.contract.lifecycle import LIVE, Action, check
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.vm import State, Vm
from shared.errors import BangerError, Code
from shared.host.process import ENDING
from shared.logs import Log
from shared.vm.asleep import Asleep, read_asleep
from shared.vm.at_rest import state_at_rest

NEEDS_VMM: frozenset[State] = LIVE - {"starting"}
"""States that a row can claim only while there is a VMM."""
IDLE_SECONDS = 5.0
"""How long a supervisor without a VMM waits to be asked for one."""


class Supervision:
    """What is asked of one VM, and what happens to it."""

    def __init__(
        self,
        spec: SupervisorSpec,
        config: Config,
        launcher: VmmLauncher,
        log: Log,
        process: SupervisorProcess,
    ) -> None:
        self.life = VmLife(spec, config, launcher, log, process)
        self._waiting = Waiting(self.life)
        self._booting = Booting(self.life, self._guard, self._waiting)
        self._stopping = Stopping(self.life)
        self.saving = Saving(self.life)

    # -- takeover ---------------------------------------------------------------------------

    async def take_over(self) -> None:
        """Take over the VMM that an earlier supervisor launched, if there is one."""
        life = self.life
        await in_thread(clear_up, life.directory)
        if life.spec.ran_before:
            life.running = await recovery.take_over(life.launcher, life.vm)
        running = life.running
        if running is None:
            at_rest = state_at_rest(life.directory)
            if life.state in NEEDS_VMM or at_rest == "suspended":
                life.state = at_rest  # the VMM ended with the earlier supervisor
            if asleep := read_asleep(life.directory):
                await self._sleep(self._held_for(asleep))
                return
            life.process.spawn(self._exit_if_never_asked())
            return
        self._guard(running)
        if not running.handle.waits:
            await recovery.let_go_on(running, life.vm, life.log)
        await recovery.restore_uplink(running, life.vm, life.log)
        await life.ports.take_over(running.machine, running.handle, life.vm.publish)
        if life.running is not running:
            return  # it has ended meanwhile, and that is reported
        life.log.info("took over the VMM", of=running.handle.pid, ready=running.handle.ready)
        if running.handle.waits:
            await self._go_on_waiting(running)
        elif running.handle.ready:
            life.state = "paused" if life.vm.state == "paused" else "running"
            life.process.spawn(life.report(life.state))
            seconds, reached = life.config.boot_timeout, partial(life.reached, running)
            again = partial(
                recovery.reach_again, running, life.directory, seconds, life.log, reached
            )
            life.tasks.add("reach again", again)
        else:
            self._booting.go_on(running)

    async def _go_on_waiting(self, running: RunningVm) -> None:
        """The row of a VM that a user has got says so already, and the VM will be handed over."""
        life = self.life
        life.state = "paused"
        await self._waiting.stand_still(running)
        if life.vm.keeper:
            life.process.spawn(life.report("paused"))

    def _guard(self, running: RunningVm) -> None:
        """From now on the VMM's end is noticed and its handle kept whole."""
        life = self.life
        life.process.spawn(self._watch(running))
        keep = partial(keep_handle, life.run, running.handle, life.log)
        life.tasks.add("handle", keep)
        life.tasks.add("logs", partial(limit_logs, life.directory, life.log))

    async def _exit_if_never_asked(self) -> None:
        """The api that was to ask for the start may have died before it could."""
        await asyncio.sleep(IDLE_SECONDS)
        if self.life.running is None and not self._booting.under_way:
            await self.life.finish()

    # -- sleep ------------------------------------------------------------------------------

    def _held_for(self, asleep: Asleep) -> AsleepPorts:
        """From now on, whoever comes to a TCP port of the VM waits."""
        ports = AsleepPorts(self.life.vm, asleep, self.life.log, self._wake_soon)
        ports.listen("tcp")
        return ports

    async def _sleep(self, ports: AsleepPorts) -> None:
        """Nothing is left of the VMM, and the VM comes back when somebody comes."""
        life = self.life
        ports.listen("tcp", "udp")  # also what could not be had at once
        life.asleep = ports
        life.over.set()
        life.state = "suspended"
        ports.attend()
        await life.report("suspended", ports.reason, wakes=True)

    def _wake_soon(self) -> None:
        self.life.process.spawn(self._wake())

    async def _wake(self) -> None:
        self.life.log.info("somebody has come: the VM wakes")
        if await contain("wake", partial(self.start, lambda *_: None), self.life.log):
            await self.life.process.note_use()

    @property
    def woken_for_nothing(self) -> bool:
        """As ``AsleepPorts.woken_for_nothing``, since the VM was asleep last."""
        return self.life.woken is not None and self.life.woken.woken_for_nothing

    # -- changes ----------------------------------------------------------------------------

    async def start(self, listener: ReportProgress) -> None:
        """As ``Booting.start``."""
        await self._booting.start(listener)

    async def pause(self) -> None:
        life = self.life
        async with life.changing:
            if life.running and check(life.vm.name, life.state, Action.PAUSE):
                async with life.agent_parted():  # it may be saved while it is paused
                    await life.running.machine.pause()
                await life.report("paused")

    async def resume(self) -> None:
        """Let the guest run on, and set its clock, which stood still."""
        life = self.life
        async with life.changing:
            if life.running and check(life.vm.name, life.state, Action.RESUME):
                await life.running.machine.resume()
                await life.report("running")
                if life.agent:
                    life.tasks.run_once("clock", partial(set_clock, life.agent, life.log))

    async def hand_over(self, wanted: Vm) -> None:
        """Let a VM of the pool go on as the one that the row says now. May be asked again.

        Raises:
            BangerError: as ``Waiting.end``; ``not_running`` when there is no guest.
        """
        life = self.life
        async with life.changing:
            life.refuse_if_over()
            if life.running is None or not life.running.handle.ready:
                raise BangerError(Code.NOT_RUNNING, f"{life.vm.name} is not running")
            await self._waiting.end(life.running, wanted)

    async def apply(self, wanted: Vm) -> None:
        """Make the running VM what the row says now, as far as that can be done live.

        Raises:
            BangerError: as ``apply_row``; ``not_running`` when there is no VMM.
        """
        life = self.life
        async with life.changing:
            if life.asleep and life.running is None:
                life.asleep.change(wanted)
                life.spec = replace(life.spec, vm=wanted)
                return
            if life.running is None:
                raise BangerError(Code.NOT_RUNNING, f"{life.vm.name} is not running")
            await apply_row(life.running, life.ports, life.vm, wanted)
            if life.agent and wanted.name != life.vm.name:
                await set_hostname(life.agent, wanted.name, life.log)
            life.spec = replace(life.spec, vm=wanted)

    # -- end --------------------------------------------------------------------------------

    async def stop(
        self, limit: float, *, stored: bool = False, taken_back: Callable[[], bool] = lambda: False
    ) -> None:
        """As ``Stopping.stop``; a boot that has no VMM yet is given up. A guest that stands still
        to be saved is asked afterwards."""
        async with self.life.changing:
            self.life.refuse_if_over()
        if (running := self.life.running) is None:
            await self._booting.give_up()
            return
        await self._stopping.stop(running, limit, stored=stored, taken_back=taken_back)

    async def abandon_start(self) -> bool:
        """End the boot that nobody wants any more. False: too late, the guest is ready."""
        life = self.life
        if life.running and (
            life.running.handle.ready or life.running.handle.beginning == "resumed"
        ):
            return False  # a guest that goes on has nothing to go back to
        if not life.over.is_set():
            await self.stop(time.monotonic())
        return True

    async def kill(self, number: signal.Signals, *, forget: bool = False) -> None:
        """Signal the VMM; returns when it has ended if the signal is one that ends it.

        ``forget``: the VM is being deleted, and its end is not stored.

        Raises:
            BangerError: ``not_running`` when there is no VMM yet that another signal could reach.
        """
        life = self.life
        life.forgotten = life.forgotten or forget
        if life.running is None:
            if number not in ENDING:
                raise BangerError(Code.NOT_RUNNING, f"{life.vm.name} has no VMM yet")
            if forget:
                life.end_sleep()
            await self._booting.give_up()
            return
        life.end_asked = life.end_asked or number in ENDING
        life.running.machine.kill(number)
        if number in ENDING:
            await life.over.wait()

    async def _watch(self, running: RunningVm) -> None:
        """Wait for the VMM's end, clean up, and launch it again or report the VM's final state."""
        life = self.life
        end = await running.machine.ended()
        life.log.info("the VMM ended", reason=end.reason.value, detail=end.detail)
        asleep = None if life.forgotten else read_asleep(life.directory)
        ports = self._held_for(asleep) if asleep else None
        life.tasks.end()
        if life.agent:
            life.agent.close()
            life.agent = None
        await vmm_end.clean_up(running, life.run, life.log)
        life.ports.release()
        life.running = None
        ready, asked = running.handle.ready, life.end_asked
        if vmm_end.is_reboot(end, ready=ready, asked=asked):
            self._booting.again()
        elif ports and not life.forgotten:
            await self._sleep(ports)
        else:
            if ports:
                ports.close()
            life.ending = True  # a start from here on is a successor's
            at_rest = state_at_rest(life.directory)
            final = vmm_end.final_state(end, at_rest, ready=ready, asked=asked, trouble=life.reason)
            await life.report(*final)
            await life.finish()

    async def let_go(self) -> None:
        """Stop supervising; the VM goes on."""
        life = self.life
        life.leaving = True
        self._booting.under_way.cancel()
        if life.asleep:
            life.asleep.close()
        if life.agent:
            life.agent.close()
        if life.running:
            await life.running.machine.close()
