"""How a VM comes up: one boot at a time, which everybody who asks for a start joins."""

import time
from collections.abc import Callable
from functools import partial

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.renewal import renew
from services.vm_supervisor.launch.initrd import identity_files
from services.vm_supervisor.launch.launcher import ReportProgress
from services.vm_supervisor.launch.readiness import await_ready, release_init
from services.vm_supervisor.lifecycle import vmm_end
from services.vm_supervisor.lifecycle.guest_tasks import limit_vmm, set_clock
from services.vm_supervisor.lifecycle.live_changes import keep_hostname
from services.vm_supervisor.lifecycle.shared_boot import BootUnderWay
from services.vm_supervisor.lifecycle.vm_life import VmLife
from services.vm_supervisor.lifecycle.waiting import Waiting
from services.vm_supervisor.ports.asleep_ports import AsleepPorts
from services.vm_supervisor.running_vm import RunningVm
from shared.contract.lifecycle import Action, check
from shared.contract.messages.vm import State
from shared.errors import BangerError, Code
from shared.host.retry import RetryWindow, retry
from shared.vm.at_rest import state_at_rest

AGENT_ANSWERS = "the guest's agent answers"
"""In the log, where a benchmark looks for it."""
RELAUNCH_SECONDS = 30.0
"""How long a guest that reboots itself is launched again while a service is away."""
RELAUNCH_PAUSE = 0.5


class Booting:
    """The boots of one VM. ``guard`` is told of a VMM as soon as there is one; ``waiting`` puts
    a VM of the pool aside."""

    def __init__(self, life: VmLife, guard: Callable[[RunningVm], None], waiting: Waiting) -> None:
        self._life = life
        self._guard = guard
        self._waiting = waiting
        self.under_way = BootUnderWay(life.log)

    async def start(self, listener: ReportProgress) -> None:
        """Boot, or join the boot under way. Raises what went wrong."""
        life = self._life
        life.refuse_if_over()
        if not self.under_way:
            life.refuse_ended()
        if not self.under_way and check(life.vm.name, life.state, Action.START):
            # With a VMM there, whatever went wrong: never a second one on the same disks.
            if life.running:
                self.go_on(life.running)
            else:
                self.under_way.begin(self._boot())
        await self.under_way.join(listener)

    def again(self) -> None:
        """Launch the VMM of a guest that has rebooted itself."""
        self.under_way.begin(self._boot(again=True))

    def go_on(self, running: RunningVm) -> None:
        """Wait for a guest whose VMM is there already."""
        self.under_way.begin(self._become_ready(running))

    async def give_up(self) -> None:
        """End a boot that has no VMM yet, if there is one. A VM that was asleep is so again."""
        await self.under_way.give_up()
        if self._life.asleep is None:
            # The boot has said so already, unless it was cancelled before its first step.
            self._life.process.spawn(self._life.finish())

    async def _boot(self, *, again: bool = False) -> None:
        """``again``: the guest has rebooted itself, and nobody waits to hear why it cannot. A
        service that is being restarted just then is worth some more attempts."""
        life = self._life
        was_created = life.state == "created"
        life.end_asked = False
        stored, asleep = life.vm.state == "starting" and not again, life.asleep
        if asleep:
            life.over.clear()
            asleep.ignore()
        reporting = life.process.spawn(
            life.report("starting", stored=stored, wakes=asleep is not None)
        )
        passing = (Code.UNAVAILABLE,) if again else ()
        window = RetryWindow(RELAUNCH_SECONDS, codes=passing, pause=RELAUNCH_PAUSE)
        launch = partial(life.launcher.launch, life.spec, life.ports, self.under_way.report, asleep)
        try:
            running = await retry(launch, window)
        except BaseException as error:
            await reporting
            if asleep:
                await self._sleep_on(asleep, error)
                raise
            failed = again and isinstance(error, Exception)
            before: State = "created" if was_created else state_at_rest(life.directory)
            await life.report(*(("failed", str(error)) if failed else (before, "")))
            life.process.spawn(life.finish())
            raise
        life.running = running  # before anything is awaited: now there is something to kill
        self._guard(running)
        if asleep is None:  # else somebody waits for the guest, with the services or without
            await reporting
        limit_vmm(life.vm, running, life.log)
        verb = "booting" if running.handle.beginning == "boot" else "going on"
        self.under_way.report("boot", f"{verb} with {running.handle.accel}")
        await self._become_ready(running)

    async def _sleep_on(self, asleep: AsleepPorts, error: BaseException) -> None:
        """After a wake that was not to be. One that failed is not tried again by itself: whoever
        came is refused, and the row says why."""
        life = self._life
        if isinstance(error, Exception):
            life.end_sleep()
            await life.report(state_at_rest(life.directory), f"it could not wake: {error}")
            life.process.spawn(life.finish())
        elif not life.leaving:
            asleep.listen_again()
            life.over.set()
            await life.report("suspended", asleep.reason, wakes=True)

    async def _become_ready(self, running: RunningVm) -> None:
        life = self._life
        name, seconds = life.vm.name, life.config.boot_timeout
        try:
            awaited = await_ready(running, name, life.directory, seconds, self._prepare)
            agent = await awaited
        except Exception as error:  # whatever its guest has caused: no VM is starting for ever
            life.reason = str(error)
            life.end_sleep()
            running.machine.kill()
            await life.over.wait()
            if life.end_asked:
                raise BangerError(Code.CANCELLED, f"{name} was stopped while it booted") from error
            raise
        running.handle.ready = True
        vmm_end.remove_initrd(life.run)
        life.reached(running, agent)
        life.woken, life.asleep = life.asleep, None
        if running.handle.beginning == "boot":
            life.tasks.run_once("release init", partial(release_init, agent, running.handle.accel))
        self.under_way.report("ready", "the guest answers")
        if life.vm.keeper == "pool":
            await self._waiting.begin(running, agent)
        else:
            await life.report("running")

    async def _prepare(self, running: RunningVm, agent: Agent) -> None:
        """What a guest needs before anybody is let in: its own identity, and the time."""
        life = self._life
        life.log.info(AGENT_ANSWERS)
        match running.handle.beginning:
            case "copy":
                identity = await life.launcher.identity(life.spec, running.info.agent)
                deadline = time.monotonic() + life.config.boot_timeout
                files, template = identity_files(identity), bool(life.vm.template)
                macs = identity.network.macs
                boot_id = await renew(agent, files, macs, deadline, template=template)
                running.handle.guest_boot = boot_id
            case "resumed":
                await set_clock(agent, life.log)
                if life.asleep:
                    await life.asleep.relay(running)
                await keep_hostname(agent, life.vm.name, life.log)
            case "boot":
                # An emulated guest has begun half a second late. ssh need not wait for it.
                life.tasks.run_once("clock", partial(set_clock, agent, life.log))
