"""One VM's supervisor on the bus: service ``vm:<id>``.

Killing this process ends nothing but itself: VMM and ssh master are in sessions of their own, and
the next supervisor adopts them by the handle file.
"""

import asyncio
import os
import signal
import time
from typing import Any

from services.vm_supervisor.drivers.contract import Jailer
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.launch.launcher import Guest, VmmLauncher
from services.vm_supervisor.lifecycle import reports as inspection
from services.vm_supervisor.lifecycle.supervision import Supervision
from shared.bus.actor import Actor
from shared.bus.handlers import Call, handles
from shared.bus.runner import own
from shared.config import Config
from shared.contract.messages.machine import (
    GuestStats,
    MachineApply,
    MachineKill,
    MachineStop,
    SupervisorSpec,
)
from shared.contract.messages.network import Attachment
from shared.contract.messages.vm import Empty, Health, PortList, State
from shared.contract.verbs import api, nat, store, supervisor
from shared.errors import BangerError, Code
from shared.host.process import ProcessId
from shared.logs import Log
from shared.paths import Paths, make_private
from shared.vm import files

AGAIN = 0.2
"""Seconds between attempts to reach a service that is away."""


class Supervisor(Actor):
    """Verbs and the bus; what they do is ``Supervision``'s."""

    def __init__(self, paths: Paths, log: Log, config: Config, spec: SupervisorSpec) -> None:
        super().__init__(f"vm:{spec.vm.id}", paths, log)
        self._vm_id = spec.vm.id
        launcher = VmmLauncher(paths, config, self._attach, Jailer(self._jail, self._unjail))
        self._vm_run = paths.vm_run(spec.vm.id)
        keep = self.background.keep
        self._supervision = Supervision(
            spec, config, launcher, log, tell=self._tell, leave=self._leave, keep=keep
        )

    async def on_start(self) -> None:
        make_private(self._vm_run)
        self._lock = await own(self._vm_run / files.LOCK)
        await self._supervision.adopt()

    async def on_registered(self) -> None:
        self.background.keep(self._announce())

    async def on_stop(self) -> None:
        await self._supervision.let_go()

    async def _announce(self) -> None:
        """Tell the api that we serve; it may be restarting, so tell it until it has heard."""
        while True:
            try:
                await self.ask(api.SUPERVISOR_READY(id=self._vm_id, pid=os.getpid()))
                return
            except BangerError:
                await asyncio.sleep(AGAIN)

    async def _tell(self, state: State, reason: str) -> None:
        """Store a state; as long as it is still the state, tell the store until it has heard."""
        while self._supervision.state == state:
            try:
                await self.ask(store.VM_UPDATE(id=self._vm_id, state=state, reason=reason))
                return
            except BangerError as error:
                if error.code is Code.NOT_FOUND:
                    return
                self.log.warning("state not stored yet", state=state, error=error.message)
                await asyncio.sleep(AGAIN)

    async def _leave(self) -> None:
        """Nothing is left to supervise: end when the last verb has its answer."""
        await self.idle()
        self.stopping.set()

    async def _attach(self, vm_id: str) -> Attachment:
        return await self.ask(nat.ATTACH(id=vm_id))

    async def _jail(self, vm_id: str) -> ProcessId:
        jailed = await self.ask(nat.JAIL(id=vm_id))
        return ProcessId(jailed.pid, jailed.start_time)

    async def _unjail(self, vm_id: str, number: signal.Signals) -> None:
        await self.ask(nat.UNJAIL(id=vm_id, signal=number))

    def status(self) -> dict[str, Any]:
        """For whoever pings: the VM's state, which the store may not have heard of yet."""
        return {"state": self._supervision.state}

    # -- verbs ------------------------------------------------------------------------------

    @handles(supervisor.START)
    async def start(self, _request: Empty, call: Call) -> None:
        try:
            await self._supervision.start(call.progress)
        except asyncio.CancelledError:
            # A deadline that has passed, or our own end, is no word against the boot.
            cancelled = time.monotonic() < call.deadline and not self.stopping.is_set()
            if not cancelled or await self._supervision.abandon_start():
                raise

    @handles(supervisor.STOP)
    async def stop(self, request: MachineStop, call: Call) -> None:
        call.progress("stop", "asking the guest to power off")
        await self._supervision.stop(min(request.timeout, call.deadline - time.monotonic() - 1.0))

    @handles(supervisor.KILL)
    async def kill(self, request: MachineKill, _call: Call) -> None:
        await self._supervision.kill(signal.Signals(request.signal))

    @handles(supervisor.PAUSE)
    async def pause(self, _request: Empty, _call: Call) -> None:
        await self._supervision.pause()

    @handles(supervisor.RESUME)
    async def resume(self, _request: Empty, _call: Call) -> None:
        await self._supervision.resume()

    @handles(supervisor.APPLY)
    async def apply(self, request: MachineApply, _call: Call) -> None:
        await self._supervision.apply(request.vm)

    @handles(supervisor.STATS)
    async def stats(self, _request: Empty, call: Call) -> GuestStats:
        guest, agent = self._running()
        return await inspection.stats(guest, agent, call.deadline)

    @handles(supervisor.PORTS)
    async def ports(self, _request: Empty, call: Call) -> PortList:
        guest, agent = self._answering()
        return await inspection.ports(self._supervision.vm, guest, agent, call.deadline)

    @handles(supervisor.HEALTH)
    async def health(self, _request: Empty, call: Call) -> Health:
        guest, agent = self._running()
        return await inspection.health(self._supervision.vm, guest, agent, call.deadline)

    def _running(self) -> tuple[Guest, Agent | None]:
        if self._supervision.guest is None:
            raise BangerError(Code.NOT_RUNNING, f"{self._supervision.vm.name} is not running")
        return self._supervision.guest, self._supervision.agent

    def _answering(self) -> tuple[Guest, Agent]:
        guest, agent = self._running()
        if agent is None:
            raise BangerError(
                Code.NOT_RUNNING, f"the agent of {self._supervision.vm.name} does not answer yet"
            )
        return guest, agent
