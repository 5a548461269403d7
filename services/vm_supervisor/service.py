"""One VM's supervisor on the bus: service ``vm:<id>``.

Killing this process ends nothing but itself: VMM and ssh master are in sessions of their own, and
the next supervisor adopts them by the handle file.
"""

import asyncio
import os
import signal
import time

from services.vm_supervisor.drivers.contract import Warden
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.launch.launcher import Drivers, Guest, VmmLauncher
from services.vm_supervisor.lifecycle import reports as inspection
from services.vm_supervisor.lifecycle.supervision import Supervision
from shared.bus.actor import Actor
from shared.bus.runner import own
from shared.bus.verbs import Call, verb
from shared.config import Config
from shared.contract.messages.machine import (
    GuestStats,
    MachineKill,
    MachineNat,
    MachinePublish,
    MachineStatus,
    MachineStop,
    SupervisorReady,
    SupervisorSpec,
)
from shared.contract.messages.network import Attachment, Jailed, NatJail, NatUnjail
from shared.contract.messages.vm import Health, Nothing, PortList, State, Vm, VmId, VmUpdate
from shared.errors import BangerError, Code
from shared.host.process import ProcessId
from shared.logs import Log
from shared.paths import Paths, make_private

QUICK = 30.0
AGAIN = 0.2
"""Seconds between attempts to reach a service that is away."""


class Supervisor(Actor):
    """Verbs and the bus; what they do is ``Supervision``'s."""

    def __init__(
        self, paths: Paths, log: Log, config: Config, spec: SupervisorSpec, drivers: Drivers
    ) -> None:
        super().__init__(f"vm:{spec.vm.id}", paths, log)
        self._vm = spec.vm
        launcher = VmmLauncher(
            paths, config, drivers, self._attach, Warden(self._jail, self._unjail)
        )
        self._vm_run = paths.vm_run(spec.vm.id)
        keep = self.background.keep
        self._supervision = Supervision(
            spec, config, launcher, log, tell=self._tell, leave=self._leave, keep=keep
        )

    async def on_start(self) -> None:
        make_private(self._vm_run)
        self._lock = await own(self._vm_run / "lock")
        await self._supervision.adopt()

    async def on_registered(self) -> None:
        self.background.keep(self._announce())

    async def on_stop(self) -> None:
        await self._supervision.let_go()

    async def _announce(self) -> None:
        """Tell the api that we serve; it may be restarting, so tell it until it has heard."""
        body = SupervisorReady(id=self._vm.id, pid=os.getpid())
        while True:
            deadline = time.monotonic() + QUICK
            try:
                await self.link.call("api", "supervisor.ready", body, deadline=deadline)
                return
            except BangerError:
                await asyncio.sleep(AGAIN)

    async def _tell(self, state: State, reason: str) -> None:
        """Store a state; as long as it is still the state, tell the store until it has heard."""
        update = VmUpdate(id=self._vm.id, state=state, reason=reason)
        while self._supervision.state == state:
            deadline = time.monotonic() + QUICK
            try:
                await self.call("store", "vm.update", update, Vm, deadline=deadline)
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
        deadline = time.monotonic() + QUICK
        return await self.call("nat", "nat.attach", VmId(id=vm_id), Attachment, deadline=deadline)

    async def _jail(self, vm_id: str) -> ProcessId:
        body, deadline = NatJail(id=vm_id), time.monotonic() + QUICK
        jailed = await self.call("nat", "nat.jail", body, Jailed, deadline=deadline)
        return ProcessId(jailed.pid, jailed.start_time)

    async def _unjail(self, vm_id: str, number: signal.Signals) -> None:
        body, deadline = NatUnjail(id=vm_id, signal=number), time.monotonic() + QUICK
        await self.call("nat", "nat.unjail", body, Nothing, deadline=deadline)

    # -- verbs ------------------------------------------------------------------------------

    @verb("machine.start", Nothing)
    async def start(self, _request: Nothing, call: Call) -> MachineStatus:
        try:
            await self._supervision.start(call.progress)
        except asyncio.CancelledError:
            # A deadline that has passed, or our own end, is no word against the boot.
            cancelled = time.monotonic() < call.deadline and not self.stopping.is_set()
            if not cancelled or await self._supervision.abandon_start():
                raise
        return self._status()

    @verb("machine.stop", MachineStop)
    async def stop(self, request: MachineStop, call: Call) -> MachineStatus:
        call.progress("stop", "asking the guest to power off")
        await self._supervision.stop(min(request.timeout, call.deadline - time.monotonic() - 1.0))
        return self._status()

    @verb("machine.kill", MachineKill)
    async def kill(self, request: MachineKill, _call: Call) -> MachineStatus:
        await self._supervision.kill(signal.Signals(request.signal))
        return self._status()

    @verb("machine.pause", Nothing)
    async def pause(self, _request: Nothing, _call: Call) -> MachineStatus:
        await self._supervision.pause()
        return self._status()

    @verb("machine.resume", Nothing)
    async def resume(self, _request: Nothing, _call: Call) -> MachineStatus:
        await self._supervision.resume()
        return self._status()

    @verb("machine.nat", MachineNat)
    async def nat(self, request: MachineNat, _call: Call) -> MachineStatus:
        guest, _ = self._running()
        if guest.machine.user_network:
            await guest.machine.user_network.set_outside(open_=request.nat)
        self._vm.nat = request.nat  # for the next boot, should the guest reboot itself
        return self._status()

    @verb("machine.publish", MachinePublish)
    async def publish_ports(self, request: MachinePublish, _call: Call) -> MachineStatus:
        await self._supervision.publish(request.publish)
        return self._status()

    @verb("machine.status", Nothing)
    async def machine_status(self, _request: Nothing, _call: Call) -> MachineStatus:
        return self._status()

    @verb("machine.stats", Nothing)
    async def stats(self, _request: Nothing, call: Call) -> GuestStats:
        guest, agent = self._running()
        return await inspection.stats(guest, agent, call.deadline)

    @verb("machine.ports", Nothing)
    async def ports(self, _request: Nothing, call: Call) -> PortList:
        guest, agent = self._answering()
        return await inspection.ports(self._vm, guest, agent, call.deadline)

    @verb("machine.health", Nothing)
    async def health(self, _request: Nothing, call: Call) -> Health:
        guest, agent = self._running()
        return await inspection.health(self._vm, guest, agent, call.deadline)

    def _status(self) -> MachineStatus:
        now = self._supervision
        return inspection.status(now.state, now.reason, now.guest)

    def _running(self) -> tuple[Guest, Agent | None]:
        if self._supervision.guest is None:
            raise BangerError(Code.NOT_RUNNING, f"{self._vm.name} is not running")
        return self._supervision.guest, self._supervision.agent

    def _answering(self) -> tuple[Guest, Agent]:
        guest, agent = self._running()
        if agent is None:
            raise BangerError(Code.NOT_RUNNING, f"the agent of {self._vm.name} does not answer yet")
        return guest, agent
