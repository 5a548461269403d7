"""One VM's life under its supervisor: boot, takeover, changes, and every way it can end.

Every state is reported to the store until the store has it; the VMM is watched by pidfd. What the
end of the VMM means is decided in vmm_end.py.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.handle_file import keep_handle, note_handle
from services.vm_supervisor.launch.launcher import ReportProgress, VmmLauncher
from services.vm_supervisor.launch.readiness import await_ready, release_init
from services.vm_supervisor.lifecycle import recovery, vmm_end
from services.vm_supervisor.lifecycle.guest_tasks import (
    GuestTasks,
    limit_logs,
    limit_vmm,
    set_clock,
)
from services.vm_supervisor.lifecycle.live_changes import apply_row, set_hostname
from services.vm_supervisor.lifecycle.power_off import PowerOff
from services.vm_supervisor.lifecycle.process import SupervisorProcess
from services.vm_supervisor.lifecycle.shared_boot import BootUnderWay
from services.vm_supervisor.ports.publishing import PublishedPorts
from services.vm_supervisor.running_vm import RunningVm
from shared.config import Config
from shared.contract.lifecycle import LIVE, Action, check
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.vm import LONGEST_REASON, State, Vm
from shared.errors import BangerError, Code
from shared.host.process import ENDING
from shared.host.retry import RetryWindow, retry
from shared.logs import Log
from shared.plain_text import printable

RELAUNCH_SECONDS = 30.0
"""How long a guest that reboots itself is launched again while a service is away."""
RELAUNCH_PAUSE = 0.5
NEEDS_VMM: frozenset[State] = LIVE - {"starting"}
"""States that a row can claim only while there is a VMM."""
IDLE_SECONDS = 5.0
"""How long a supervisor without a VMM waits to be asked for one."""


class Supervision:
    """The VM of one supervisor. ``running`` is None while there is no VMM, ``agent`` until it has
    answered; ``over`` is set when the VM has ended for good."""

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
        self._spec = spec
        self._config = config
        self._launcher = launcher
        self._log = log
        self._process = process
        self._run = launcher.paths.vm_run(spec.vm.id)
        self._disks = launcher.paths.vm_state(spec.vm.id)
        self._ports = PublishedPorts(spec.vm.network, self._run, log)
        self._applying = asyncio.Lock()
        self._booting = BootUnderWay(log)
        self._end_asked = False
        self._ending = False
        """Whether the VM's last state is being stored, after which this process ends."""
        self._forgotten = False
        """Whether the VM is being deleted: nobody wants to know its state any more."""
        self._stops: list[PowerOff] = []
        self._tasks = GuestTasks(process, self._run, log)

    @property
    def vm(self) -> Vm:
        """The row as it is wanted: the one copy here, replaced whole by ``apply``."""
        return self._spec.vm

    # -- takeover ---------------------------------------------------------------------------

    async def take_over(self) -> None:
        """Take over the VMM that an earlier supervisor launched, if there is one."""
        if self._spec.ran_before:
            self.running = await recovery.take_over(self._launcher, self.vm)
        running = self.running
        if running is None:
            if self.state in NEEDS_VMM:  # the VMM ended with the earlier supervisor
                self.state = "stopped"
            self._process.spawn(self._exit_if_never_asked())
            return
        self._guard(running)
        await recovery.restore_uplink(running, self.vm, self._log)
        await self._ports.take_over(running.machine, running.handle, self.vm.publish)
        if self.running is not running:
            return  # it has ended meanwhile, and that is reported
        self._log.info("took over the VMM", of=running.handle.pid, ready=running.handle.ready)
        if running.handle.ready:
            self.state = "paused" if self.vm.state == "paused" else "running"
            self._process.spawn(self._report(self.state))
            seconds, reached = self._config.boot_timeout, partial(self._reached, running)
            again = partial(recovery.reach_again, running, self._disks, seconds, self._log, reached)
            self._tasks.add("reach again", again)
        else:
            self._booting.begin(self._become_ready(running))

    def _guard(self, running: RunningVm) -> None:
        """From now on the VMM's end is noticed and its handle kept whole."""
        self._process.spawn(self._watch(running))
        keep = partial(keep_handle, self._run, running.handle, self._log)
        self._tasks.add("handle", keep)
        self._tasks.add("logs", partial(limit_logs, self._disks, self._log))

    async def _exit_if_never_asked(self) -> None:
        """The api that was to ask for the start may have died before it could."""
        await asyncio.sleep(IDLE_SECONDS)
        if self.running is None and not self._booting:
            await self._finish()

    # -- boot -------------------------------------------------------------------------------

    async def start(self, listener: ReportProgress) -> None:
        """Boot, or join the boot under way. Raises what went wrong."""
        self._refuse_if_over()
        if not self._booting and check(self.vm.name, self.state, Action.START):
            # With a VMM there, whatever went wrong: never a second one on the same disks.
            self._booting.begin(self._become_ready(self.running) if self.running else self._boot())
        await self._booting.join(listener)

    async def _boot(self, *, again: bool = False) -> None:
        """``again``: the guest has rebooted itself, and nobody waits to hear why it cannot. A
        service that is being restarted just then is worth some more attempts."""
        before: State = "created" if self.state == "created" else "stopped"
        self._end_asked = False
        stored = self.vm.state == "starting" and not again
        reporting = self._process.spawn(self._report("starting", stored=stored))
        passing = (Code.UNAVAILABLE,) if again else ()
        window = RetryWindow(RELAUNCH_SECONDS, codes=passing, pause=RELAUNCH_PAUSE)
        launch = partial(self._launcher.launch, self._spec, self._ports, self._booting.report)
        try:
            running = await retry(launch, window)
        except BaseException as error:
            await reporting
            failed = again and isinstance(error, Exception)
            await self._report(*(("failed", str(error)) if failed else (before, "")))
            self._process.spawn(self._finish())
            raise
        self.running = running  # before anything is awaited: now there is something to kill
        self._guard(running)
        await reporting
        limit_vmm(self.vm, running, self._log)
        self._booting.report("boot", f"booting with {running.handle.accel}")
        await self._become_ready(running)

    async def _become_ready(self, running: RunningVm) -> None:
        name, seconds = self.vm.name, self._config.boot_timeout
        try:
            agent = await await_ready(running, name, self._disks, seconds)
        except Exception as error:  # whatever its guest has caused: no VM is starting for ever
            self.reason = str(error)
            running.machine.kill()
            await self.over.wait()
            if self._end_asked:
                raise BangerError(Code.CANCELLED, f"{name} was stopped while it booted") from error
            raise
        running.handle.ready = True
        vmm_end.remove_initrd(self._run)
        self._reached(running, agent)
        self._tasks.run_once("release init", partial(release_init, agent, running.handle.accel))
        await self._report("running")
        self._booting.report("ready", "the guest answers")

    def _reached(self, running: RunningVm, agent: Agent) -> None:
        self.agent = agent
        note_handle(self._run, running.handle, self._log)
        if not self._end_asked:
            self._tasks.start_polling(self.vm, running, agent)

    # -- changes ----------------------------------------------------------------------------

    async def pause(self) -> None:
        if self.running and check(self.vm.name, self.state, Action.PAUSE):
            await self.running.machine.pause()
            await self._report("paused")

    async def resume(self) -> None:
        """Let the guest run on, and set its clock, which stood still."""
        if self.running and check(self.vm.name, self.state, Action.RESUME):
            await self.running.machine.resume()
            await self._report("running")
            if self.agent:
                self._tasks.run_once("clock", partial(set_clock, self.agent, self._log))

    async def apply(self, wanted: Vm) -> None:
        """Make the running VM what the row says now, as far as that can be done live.

        Raises:
            BangerError: as ``apply_row``; ``not_running`` when there is no VMM.
        """
        async with self._applying:
            if self.running is None:
                raise BangerError(Code.NOT_RUNNING, f"{self.vm.name} is not running")
            await apply_row(self.running, self._ports, self.vm, wanted)
            if self.agent and wanted.name != self.vm.name:
                await set_hostname(self.agent, wanted.name, self._log)
            self._spec = replace(self._spec, vm=wanted)

    # -- end --------------------------------------------------------------------------------

    async def stop(
        self, limit: float, *, stored: bool = False, taken_back: Callable[[], bool] = lambda: False
    ) -> None:
        """Ask the guest to power off, and end the VMM when the guest has not until ``limit``
        (CLOCK_MONOTONIC seconds). ``stored``: the row says ``stopping`` already.

        ``taken_back`` says whether a caller that is cancelled wants the VM to run on. It does,
        unless the stop can no longer be prevented: then this returns when the VM has ended.
        """
        self._refuse_if_over()
        if (running := self.running) is None:
            await self._give_up_boot()
            return
        off = PowerOff(running, lambda: self.agent, self._log, paused=self.state == "paused")
        self._end_asked = True
        # Its questions every second would cost the guest a tenth of its stop.
        self._tasks.stop_polling()
        self._process.spawn(self._report("stopping", stored=stored))
        self._stops.append(off)
        try:
            await off.run(limit)
            await self.over.wait()
        except asyncio.CancelledError:
            if not taken_back() or not await self._ends_all_the_same(running, off, limit):
                raise
        finally:
            self._stops.remove(off)

    async def _ends_all_the_same(self, running: RunningVm, off: PowerOff, limit: float) -> bool:
        """After a stop that was taken back: whether the VM ends, which has happened then.

        A guest that was told to power off cannot be told not to. Its VMM is not ended at ``limit``
        any more: the VM runs on when the guest has not powered off by then.
        """
        if self._stops != [off]:
            return False  # somebody else's stop goes on
        if not off.forced and self.running is running:
            wait = limit - time.monotonic() if off.may_follow else 0.0
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), wait)
            if self._stops != [off]:
                return False  # another one has begun meanwhile
            if not self.over.is_set() and self.running is running:
                await self._resume_after_cancelled_stop(running, off)
                return False
        await self.over.wait()
        return True

    async def _resume_after_cancelled_stop(self, running: RunningVm, off: PowerOff) -> None:
        """A guest that follows all the same has powered itself off. One that was told to do it by
        a reset must not come up again."""
        self._end_asked = off.may_follow and not running.info.powers_off
        if self.agent:
            self._tasks.start_polling(self.vm, running, self.agent)
        await self._report("running")

    async def abandon_start(self) -> bool:
        """End the boot that nobody wants any more. False: too late, the guest is ready."""
        if self.running and self.running.handle.ready:
            return False
        if not self.over.is_set():
            await self.stop(time.monotonic())
        return True

    async def kill(self, number: signal.Signals, *, forget: bool = False) -> None:
        """Signal the VMM; returns when it has ended if the signal is one that ends it.

        ``forget``: the VM is being deleted, and its end is not stored.

        Raises:
            BangerError: ``not_running`` when there is no VMM yet that another signal could reach.
        """
        self._forgotten = self._forgotten or forget
        if self.running is None:
            if number not in ENDING:
                raise BangerError(Code.NOT_RUNNING, f"{self.vm.name} has no VMM yet")
            await self._give_up_boot()
            return
        self._end_asked = self._end_asked or number in ENDING
        self.running.machine.kill(number)
        if number in ENDING:
            await self.over.wait()

    async def _give_up_boot(self) -> None:
        await self._booting.give_up()
        # The boot has said so already, unless it was cancelled before its first step.
        self._process.spawn(self._finish())

    async def _watch(self, running: RunningVm) -> None:
        """Wait for the VMM's end, clean up, and launch it again or report the VM's final state."""
        end = await running.machine.ended()
        self._log.info("the VMM ended", reason=end.reason.value, detail=end.detail)
        self._tasks.end()
        if self.agent:
            self.agent.close()
            self.agent = None
        await vmm_end.clean_up(running, self._run, self._log)
        self._ports.release()
        self.running = None
        ready, asked = running.handle.ready, self._end_asked
        if vmm_end.is_reboot(end, ready=ready, asked=asked):
            self._booting.begin(self._boot(again=True))
        else:
            self._ending = True  # a start from here on is a successor's
            final = vmm_end.final_state(end, ready=ready, asked=asked, trouble=self.reason)
            await self._report(*final)
            await self._finish()

    async def _finish(self) -> None:
        self.over.set()
        await self._process.leave()

    def _refuse_if_over(self) -> None:
        """Raises ``unavailable`` when the VM has ended and this supervisor is about to."""
        if self._ending or self.over.is_set():
            raise BangerError(Code.UNAVAILABLE, "this supervisor is ending, its VM has stopped")

    async def let_go(self) -> None:
        """Stop supervising; the VM goes on."""
        self._booting.cancel()
        if self.agent:
            self.agent.close()
        if self.running:
            await self.running.machine.close()

    async def _report(self, state: State, reason: str = "", *, stored: bool = False) -> None:
        """``stored``: the row says so already. The reason may quote a guest or its VMM."""
        reason = printable(reason, LONGEST_REASON)
        self.state, self.reason = state, reason
        if not stored and not self._forgotten:
            await self._process.store_state(state, reason)
