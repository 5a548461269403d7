"""One VM's supervisor: its state, told to the store; its VMM, launched, watched or taken over.

Killing this process ends nothing but itself: VMM and ssh master are in sessions of their own, and
the next supervisor adopts them by the handle file.
"""

import asyncio
import time
from collections.abc import Callable

from services.vm_supervisor.boot import Guest, Launcher, await_ready, let_init_go_on
from services.vm_supervisor.drivers.driver import Driver, End, EndReason
from services.vm_supervisor.forwards import Forwards
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.ssh import stop_master
from shared.bus.actor import Actor, Call, own, verb
from shared.config import Config
from shared.errors import BangerError, Code
from shared.handle import read_handle, remove_handle, write_handle
from shared.lifecycle import Verb, check
from shared.logs import Log
from shared.messages.network import Attachment
from shared.messages.vm import (
    MachineStatus,
    MachineStop,
    Nothing,
    State,
    SupervisorReady,
    SupervisorSpec,
    Vm,
    VmId,
    VmUpdate,
)
from shared.paths import Paths, make_private

QUICK = 10.0
REPORT_AGAIN = 0.2
"""Seconds between attempts to tell the store a state, while it is away."""
POWER_OFF_ASKED = 3.0
"""Seconds the agent gets to accept a power-off before the VMM is ended instead."""

Say = Callable[[str, str], None]


class Supervisor(Actor):
    """Service ``vm:<id>``."""

    def __init__(
        self, paths: Paths, log: Log, config: Config, spec: SupervisorSpec, driver: Driver
    ) -> None:
        super().__init__(f"vm:{spec.vm.id}", paths, log)
        self._spec = spec
        self._config = config
        self._launcher = Launcher(paths, config, driver, self._attach)
        self._driver = driver
        self._state: State = spec.vm.state
        self._reason = ""
        self._run = paths.vm_run(spec.vm.id)
        self._vm_state = paths.vm_state(spec.vm.id)
        self._guest: Guest | None = None
        self._agent: Agent | None = None
        self._booting: asyncio.Task[None] | None = None
        self._intended = False
        self._over = asyncio.Event()
        self._listeners: list[Say] = []
        self._background: set[asyncio.Task[None]] = set()

    # -- start of the process ---------------------------------------------------------------

    async def on_start(self) -> None:
        make_private(self._run)
        self._lock = await own(self._run / "lock")
        await self._adopt()

    async def on_registered(self) -> None:
        self._keep(self._announce())

    async def _announce(self) -> None:
        """Tell the api that we serve; it may be restarting, so tell it until it has heard."""
        body = SupervisorReady(id=self._spec.vm.id, pid=0)
        while True:
            deadline = time.monotonic() + QUICK
            try:
                await self.link.call("api", "supervisor.ready", body, deadline=deadline)
                return
            except BangerError:
                await asyncio.sleep(REPORT_AGAIN)

    async def _adopt(self) -> None:
        """Take over the VMM that an earlier supervisor launched, if there is one."""
        handle = read_handle(self._run)
        if handle is None or not handle.alive:
            remove_handle(self._run)
            return
        machine = self._driver.adopt(
            handle.process, self._run, self._vm_state, handle.console_start
        )
        await machine.attach()
        self._guest = Guest(machine, handle)
        self._keep(self._watch(self._guest))
        self.log.info("took over the VMM", of=handle.pid, ready=handle.ready)
        self._booting = asyncio.create_task(self._take_over(self._guest))
        self._booting.add_done_callback(_retrieve)

    async def _take_over(self, guest: Guest) -> None:
        if guest.handle.ready:
            self._keep(self._report("running"))
        await self._become_ready(guest)

    # -- verbs ------------------------------------------------------------------------------

    @verb("machine.start", Nothing)
    async def start(self, _request: Nothing, call: Call) -> MachineStatus:
        self._refuse_if_over()
        if self._booting is None and check(self._spec.vm.name, self._state, Verb.START):
            self._booting = asyncio.create_task(self._boot())
            self._booting.add_done_callback(_retrieve)
        if self._booting:
            self._listeners.append(call.progress)
            try:
                await asyncio.shield(self._booting)
            finally:
                self._listeners.remove(call.progress)
        return self._status()

    @verb("machine.stop", MachineStop)
    async def stop(self, request: MachineStop, call: Call) -> MachineStatus:
        """Ask the guest; end the VMM when it does not follow in time."""
        self._refuse_if_over()
        if self._guest is None:
            await self._give_up_boot()
            return self._status()
        self._intended = True
        self._keep(self._report("stopping"))
        limit = min(time.monotonic() + request.timeout, call.deadline - 1.0)
        call.progress("stop", "asking the guest to power off")
        await self._power_off(self._guest, limit)
        await self._over.wait()
        return self._status()

    @verb("machine.kill", Nothing)
    async def kill(self, _request: Nothing, _call: Call) -> MachineStatus:
        self._intended = True
        if self._guest is None:
            await self._give_up_boot()
            return self._status()
        self._guest.machine.kill()
        await self._over.wait()
        return self._status()

    @verb("machine.status", Nothing)
    async def machine_status(self, _request: Nothing, _call: Call) -> MachineStatus:
        return self._status()

    # -- boot -------------------------------------------------------------------------------

    async def _boot(self) -> None:
        before: State = "created" if self._state == "created" else "stopped"
        self._intended = False
        self._state = "starting"
        reporting = self._keep(self._report("starting"))
        try:
            guest = await self._launcher.launch(self._spec, self._say)
        except BaseException:
            await reporting
            self._booting = None
            await self._report(before)
            self._keep(self._leave())
            raise
        await reporting
        self._guest = guest
        self._keep(self._watch(guest))
        self._say("boot", f"booting with {guest.handle.accel}")
        await self._become_ready(guest)

    async def _become_ready(self, guest: Guest) -> None:
        name, seconds = self._spec.vm.name, self._config.boot_timeout
        try:
            self._agent = await await_ready(guest, name, self._vm_state, seconds)
        except BangerError as error:
            if not self._intended:
                self._reason = error.message
            guest.machine.kill()
            await self._over.wait()
            if self._intended:
                raise BangerError(Code.CANCELLED, f"{name} was stopped while it booted") from error
            raise
        guest.handle.ready = True
        write_handle(self._run, guest.handle)
        if self._spec.vm.network == "user":
            self._follow_ports(guest, self._agent)
        self._keep(let_init_go_on(self._agent, guest.handle.accel))
        await self._report("running")
        self._say("ready", "the guest answers")
        self._booting = None

    def _follow_ports(self, guest: Guest, agent: Agent) -> None:
        def changed(ports: dict[str, int]) -> None:
            guest.handle.ports = ports
            write_handle(self._run, guest.handle)

        address, known = self._spec.vm.address, guest.handle.ports
        forwards = Forwards(guest.machine, agent, address, known, self.log, changed)
        self._keep(forwards.follow())

    async def _give_up_boot(self) -> None:
        if self._booting:
            self._booting.cancel()
            await asyncio.gather(self._booting, return_exceptions=True)
        else:
            self._keep(self._leave())

    async def _attach(self, vm_id: str) -> Attachment:
        deadline = time.monotonic() + QUICK
        return await self.call("nat", "nat.attach", VmId(id=vm_id), Attachment, deadline=deadline)

    # -- end --------------------------------------------------------------------------------

    async def _power_off(self, guest: Guest, limit: float) -> None:
        """Returns when the guest is off or out of time; ``_watch`` does the rest."""
        try:
            async with asyncio.timeout(limit - time.monotonic()):
                if self._agent is None:
                    guest.machine.kill()
                else:
                    await self._agent.power_off(time.monotonic() + POWER_OFF_ASKED)
                await guest.machine.ended()
        except (TimeoutError, BangerError) as error:
            self.log.warning("the guest did not power off, ending its VMM", error=str(error))
            guest.machine.kill()

    async def _watch(self, guest: Guest) -> None:
        """Wait for the VMM's end and tell what it means."""
        end = await guest.machine.ended()
        self.log.info("the VMM ended", reason=end.reason.value, detail=end.detail)
        if self._agent:
            self._agent.close()
            self._agent = None
        await stop_master(guest.access)
        await guest.machine.close()
        remove_handle(self._run)
        self._guest = None
        if end.reason is EndReason.REBOOT and not self._intended and self._booting is None:
            self._booting = asyncio.create_task(self._boot())
            self._booting.add_done_callback(_retrieve)
            return
        state, reason = self._meaning(end)
        await self._report(state, reason)
        self._over.set()
        await self._leave()

    def _meaning(self, end: End) -> tuple[State, str]:
        if self._intended or end.reason is EndReason.POWEROFF:
            return "stopped", ""
        return "failed", self._reason or end.detail

    async def _leave(self) -> None:
        """Nothing is left to supervise: end when the last verb has its answer."""
        self._over.set()
        await self.idle()
        self.stopping.set()

    def _refuse_if_over(self) -> None:
        if self._over.is_set():
            raise BangerError(Code.UNAVAILABLE, "this supervisor is ending, its VM has stopped")

    async def on_stop(self) -> None:
        for task in self._background:
            task.cancel()
        if self._booting:
            self._booting.cancel()
        if self._agent:
            self._agent.close()
        if self._guest:
            await self._guest.machine.close()

    # -- telling ----------------------------------------------------------------------------

    async def _report(self, state: State, reason: str = "") -> None:
        """Tell the store; as long as this is still the state, tell it until it has heard."""
        self._state, self._reason = state, reason
        update = VmUpdate(id=self._spec.vm.id, state=state, reason=reason)
        while self._state == state:
            deadline = time.monotonic() + QUICK
            try:
                await self.call("store", "vm.update", update, Vm, deadline=deadline)
                return
            except BangerError as error:
                if error.code is Code.NOT_FOUND:
                    return
                self.log.warning("state not stored yet", state=state, error=error.message)
                await asyncio.sleep(REPORT_AGAIN)

    def _say(self, stage: str, message: str) -> None:
        self.log.info(message, stage=stage)
        for listener in self._listeners:
            listener(stage, message)

    def _status(self) -> MachineStatus:
        status = MachineStatus(state=self._state, reason=self._reason)
        if self._guest:
            handle = self._guest.handle
            status.pid, status.accel = handle.pid, handle.accel
            status.boot_id, status.ports = handle.guest_boot, handle.ports
            status.access = handle.access if handle.ready else None
        return status

    def _keep(self, coroutine: "asyncio._CoroutineLike[None]") -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


def _retrieve(task: asyncio.Task[None]) -> None:
    """Whoever waits for the boot hears of its failure; nobody may be waiting any more."""
    if not task.cancelled():
        task.exception()
