"""One VM's life under its supervisor: boot, adoption, and every way it can end.

The state is told to the store until it has heard; the VMM is watched by pidfd; what the end means
(stopped as asked, powered off, rebooted, failed) is decided in one place, ``_meaning``.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from msgspec.structs import replace

from services.vm_supervisor.drivers.contract import End, EndReason
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.ssh import stop_master
from services.vm_supervisor.handle_file import keep_handle, note_handle
from services.vm_supervisor.launch.launcher import Guest, Say, VmmLauncher
from services.vm_supervisor.launch.readiness import await_ready, let_init_go_on
from services.vm_supervisor.lifecycle.adoption import adopt, reach_again, restore_uplink, set_uplink
from services.vm_supervisor.lifecycle.companions import Companions
from services.vm_supervisor.lifecycle.power_off import PowerOff
from services.vm_supervisor.lifecycle.shared_boot import BootUnderWay
from services.vm_supervisor.lifecycle.tending import follow_ports, limit, set_clock
from services.vm_supervisor.ports.publishing import Publishing
from shared.config import Config
from shared.contract.lifecycle import Action, check
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.vm import State, Vm
from shared.errors import BangerError, Code
from shared.host.cgroup import release
from shared.host.process import ENDING
from shared.logs import Log
from shared.vm import files
from shared.vm.handle import remove_handle

LAUNCH_AGAIN_SECONDS = 30.0
LAUNCH_PAUSE = 0.5
"""How long, and how often, a guest that reboots itself is launched while a service is away."""
ASKED_WITHIN = 5.0
"""Seconds that a supervisor without a VMM waits to be asked for one."""


class Supervision:
    """The VM of one supervisor. ``tell(state, reason)`` stores a state, ``leave()`` is called when
    there is nothing left to supervise, ``keep`` runs a task beside the rest."""

    def __init__(
        self,
        spec: SupervisorSpec,
        config: Config,
        launcher: VmmLauncher,
        log: Log,
        *,
        tell: Callable[[State, str], Awaitable[None]],
        leave: Callable[[], Awaitable[None]],
        keep: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._spec = spec
        self.state: State = spec.vm.state
        self.reason = ""
        self.guest: Guest | None = None
        self.agent: Agent | None = None
        self.over = asyncio.Event()
        self._config = config
        self._launcher = launcher
        self._log = log
        self._tell = tell
        self._leave = leave
        self._keep = keep
        self._run = launcher.paths.vm_run(spec.vm.id)
        self._disks = launcher.paths.vm_state(spec.vm.id)
        self._publishing = Publishing(spec.vm.network, self._run, log)
        self._applying = asyncio.Lock()
        self._booting = BootUnderWay(log)
        self._intended = False
        self._stopping: list[PowerOff] = []
        self._companions = Companions(keep)

    @property
    def vm(self) -> Vm:
        """The row as it is wanted: the one copy here, replaced whole by ``apply``."""
        return self._spec.vm

    # -- adoption ---------------------------------------------------------------------------

    async def adopt(self) -> None:
        """Take over the VMM that an earlier supervisor launched, if there is one."""
        self.guest = guest = await adopt(self._launcher, self.vm)
        if guest is None:
            self._keep(self._leave_unless_asked())
            return
        handle = guest.handle
        self._guard(guest)
        await restore_uplink(guest, self.vm, self._log)
        await self._publishing.take_over(guest.machine, handle, self.vm.publish)
        if self.guest is not guest:
            return  # it has ended meanwhile, and that is told
        self._log.info("took over the VMM", of=handle.pid, ready=handle.ready)
        if handle.ready:
            self.state = "paused" if self.vm.state == "paused" else "running"
            self._keep(self._report(self.state))
            seconds, reached = self._config.boot_timeout, partial(self._reached, guest)
            self._companions.add(reach_again(guest, self._disks, seconds, self._log, reached))
        else:
            self._booting.begin(self._become_ready(guest))

    def _guard(self, guest: Guest) -> None:
        """From now on the VMM's end is noticed and its handle kept whole."""
        self._keep(self._watch(guest))
        self._companions.add(keep_handle(self._run, guest.handle, self._log))

    async def _leave_unless_asked(self) -> None:
        """The api that was to ask for the start may have died before it could."""
        await asyncio.sleep(ASKED_WITHIN)
        if self.guest is None and not self._booting:
            await self._end_of_supervision()

    # -- boot -------------------------------------------------------------------------------

    async def start(self, listener: Say) -> None:
        """Boot, or join the boot under way. Raises what went wrong."""
        self.refuse_if_over()
        if not self._booting and check(self.vm.name, self.state, Action.START):
            # With a VMM there, whatever went wrong: never a second one on the same disks.
            self._booting.begin(self._become_ready(self.guest) if self.guest else self._boot())
        await self._booting.join(listener)

    async def _boot(self, *, again: bool = False) -> None:
        """``again``: the guest has rebooted itself, and nobody waits to hear why it cannot."""
        before: State = "created" if self.state == "created" else "stopped"
        self._intended = False
        reporting = self._keep(self._report("starting"))
        try:
            guest = await self._launch(LAUNCH_AGAIN_SECONDS if again else 0.0)
        except BaseException as error:
            await reporting
            failed = again and isinstance(error, Exception)
            await self._report(*(("failed", str(error)) if failed else (before, "")))
            self._keep(self._end_of_supervision())
            raise
        self.guest = guest  # before anything is awaited: from here on there is something to kill
        self._guard(guest)
        await reporting
        limit(self.vm, guest, self._log)
        self._booting.say("boot", f"booting with {guest.handle.accel}")
        await self._become_ready(guest)

    async def _launch(self, patience: float) -> Guest:
        """``patience``: seconds in which a service that is being restarted is asked again."""
        limit = time.monotonic() + patience
        while True:
            try:
                return await self._launcher.launch(self._spec, self._publishing, self._booting.say)
            except BangerError as error:
                if error.code is not Code.UNAVAILABLE or time.monotonic() >= limit:
                    raise
                self._log.warning("not launched again yet", error=error.message)
            await asyncio.sleep(LAUNCH_PAUSE)

    async def _become_ready(self, guest: Guest) -> None:
        name, seconds = self.vm.name, self._config.boot_timeout
        try:
            agent = await await_ready(guest, name, self._disks, seconds)
        except BangerError as error:
            self.reason = error.message
            guest.machine.kill()
            await self.over.wait()
            if self._intended:
                raise BangerError(Code.CANCELLED, f"{name} was stopped while it booted") from error
            raise
        guest.handle.ready = True
        self._remove_initrd()
        self._reached(guest, agent)
        self._keep(let_init_go_on(agent, guest.handle.accel))
        await self._report("running")
        self._booting.say("ready", "the guest answers")

    def _remove_initrd(self) -> None:
        """The VMM has read it; it holds the guest's host key, and space of the run directory."""
        (self._run / files.INITRD).unlink(missing_ok=True)

    def _reached(self, guest: Guest, agent: Agent) -> None:
        self.agent = agent
        note_handle(self._run, guest.handle, self._log)
        if not self._intended:
            self._follow_ports(guest, agent)

    def _follow_ports(self, guest: Guest, agent: Agent) -> None:
        network = guest.machine.user_network
        if network and self.vm.network == "user":
            self._companions.follow(
                follow_ports(self.vm, network, guest, agent, self._run, self._log)
            )

    # -- pause ------------------------------------------------------------------------------

    async def pause(self) -> None:
        if self.guest and check(self.vm.name, self.state, Action.PAUSE):
            await self.guest.machine.pause()
            await self._report("paused")

    async def resume(self) -> None:
        """Go on; the guest's clock stood still meanwhile and is set right."""
        if self.guest and check(self.vm.name, self.state, Action.RESUME):
            await self.guest.machine.resume()
            await self._report("running")
            if self.agent:
                self._keep(set_clock(self.agent, self._log))

    # -- changes of the row -----------------------------------------------------------------

    async def apply(self, wanted: Vm) -> None:
        """Make the running VM what the row says now: published ports, and the way out in user mode.
        The rest of the row is for the next boot. When one thing is refused, all stays as it was.

        Raises:
            BangerError: as ``Publishing.change``; ``not_running`` when there is no VMM.
        """
        async with self._applying:
            if self.guest is None:
                raise BangerError(Code.NOT_RUNNING, f"{self.vm.name} is not running")
            guest, before = self.guest, self.vm.publish
            await self._publishing.change(before, wanted.publish, guest.handle)
            try:
                await set_uplink(guest, wanted)
            except BangerError:
                await self._publishing.change(wanted.publish, before, guest.handle)
                raise
            # A new name belongs here: the guest's hostname, by its agent where that answers.
            self._spec = replace(self._spec, vm=wanted)

    # -- end --------------------------------------------------------------------------------

    async def stop(self, seconds: float) -> None:
        """Ask the guest to power off; end the VMM when it has not in ``seconds``. Cancelled before
        that, the guest runs on, if it was not about to follow."""
        self.refuse_if_over()
        guest = self.guest
        if guest is None:
            await self._give_up_boot()
            return
        off = PowerOff(guest, lambda: self.agent, self._log, paused=self.state == "paused")
        self._intended = True
        # Its questions every second would cost the guest a tenth of its stop.
        self._companions.stop_following()
        self._keep(self._report("stopping"))
        self._stopping.append(off)
        try:
            await off.run(time.monotonic() + seconds)
            await self.over.wait()
        except asyncio.CancelledError:
            if self._stopping == [off] and not off.forced and self.guest is guest:
                self._run_on(guest, off)
            raise
        finally:
            self._stopping.remove(off)

    def _run_on(self, guest: Guest, off: PowerOff) -> None:
        """A stop was taken back. A guest that follows all the same has powered itself off; one
        that was told to do it by a reset must not come up again."""
        self._intended = off.accepted and not guest.info.powers_off
        self._keep(self._report("running"))
        if self.agent:
            self._follow_ports(guest, self.agent)

    async def abandon_start(self) -> bool:
        """Who asked for the boot does not want it any more. False: it is too late, the guest is
        ready."""
        if self.guest and self.guest.handle.ready:
            return False
        if not self.over.is_set():
            await self.stop(0.0)
        return True

    async def kill(self, number: signal.Signals) -> None:
        """Signal the VMM; when the signal is one that ends it, return when it has ended.

        Raises:
            BangerError: ``not_running`` when there is no VMM yet that another signal could reach.
        """
        if self.guest is None:
            if number not in ENDING:
                raise BangerError(Code.NOT_RUNNING, f"{self.vm.name} has no VMM yet")
            await self._give_up_boot()
            return
        self._intended = self._intended or number in ENDING
        self.guest.machine.kill(number)
        if number in ENDING:
            await self.over.wait()

    async def _give_up_boot(self) -> None:
        await self._booting.give_up()
        # Said again if the boot has said so; one that was cancelled before its first step has not.
        self._keep(self._end_of_supervision())

    async def _watch(self, guest: Guest) -> None:
        """Wait for the VMM's end and tell what it means."""
        end = await guest.machine.ended()
        self._log.info("the VMM ended", reason=end.reason.value, detail=end.detail)
        self._companions.end()
        if self.agent:
            self.agent.close()
            self.agent = None
        await stop_master(guest.access)
        await guest.machine.close()
        self._publishing.release()
        self._remove_initrd()
        remove_handle(self._run)
        await asyncio.to_thread(release, self.vm.id)
        self.guest = None
        if end.reason is EndReason.REBOOT and not self._intended and guest.handle.ready:
            self._booting.begin(self._boot(again=True))
            return
        await self._report(*self._meaning(guest, end))
        await self._end_of_supervision()

    def _meaning(self, guest: Guest, end: End) -> tuple[State, str]:
        """A guest may power itself off, but not before it was ever ready."""
        if self._intended or (end.reason is EndReason.POWEROFF and guest.handle.ready):
            return "stopped", ""
        return "failed", self.reason or end.detail

    async def _end_of_supervision(self) -> None:
        self.over.set()
        await self._leave()

    def refuse_if_over(self) -> None:
        """Raises ``unavailable`` when the VM has ended and this supervisor is about to."""
        if self.over.is_set():
            raise BangerError(Code.UNAVAILABLE, "this supervisor is ending, its VM has stopped")

    async def let_go(self) -> None:
        """Stop supervising; the VM goes on."""
        self._booting.cancel()
        if self.agent:
            self.agent.close()
        if self.guest:
            await self.guest.machine.close()

    # -- telling ----------------------------------------------------------------------------

    async def _report(self, state: State, reason: str = "") -> None:
        self.state, self.reason = state, reason
        await self._tell(state, reason)
