"""One VM's supervisor on the bus: service ``vm:<id>``.

Killing this process ends nothing but itself: VMM and ssh master are in sessions of their own, and
the next supervisor takes them over by the handle file.
"""

import asyncio
import os
import signal
import time
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from services.vm_supervisor.guest import commands
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.system_state import await_system
from services.vm_supervisor.launch.launcher import VmmLauncher
from services.vm_supervisor.lifecycle import reports
from services.vm_supervisor.lifecycle.supervision import Supervision
from services.vm_supervisor.nat_client import NatClient
from services.vm_supervisor.ports import listing
from services.vm_supervisor.running_vm import RunningVm
from shared.bus.actor import Actor
from shared.bus.handlers import Call, handles
from shared.bus.runner import own
from shared.config import Config
from shared.contract.messages.machine import (
    Activity,
    GuestStats,
    MachineApply,
    MachineKill,
    MachineRestore,
    MachineSave,
    MachineSaved,
    MachineState,
    MachineStop,
    MachineSuspend,
    SupervisorSpec,
    SystemState,
)
from shared.contract.messages.vm import Empty, Health, PortList, State
from shared.contract.messages.vm_request import GuestExec, GuestOutput
from shared.contract.verbs import api, store, supervisor
from shared.errors import BangerError, Code
from shared.logs import Log, now_rfc3339
from shared.paths import Paths, make_vm_run
from shared.vm import files

RETRY_SECONDS = 0.2
"""Seconds between attempts to reach a service that is away."""


class Supervisor(Actor):
    """The verbs and the process; what the verbs do is ``Supervision``'s."""

    def __init__(self, paths: Paths, log: Log, config: Config, spec: SupervisorSpec) -> None:
        super().__init__(f"vm:{spec.vm.id}", paths, log)
        self._vm_id = spec.vm.id
        launcher = VmmLauncher(paths, config, NatClient(self))
        self._supervision = Supervision(spec, config, launcher, log, self)
        self._life = self._supervision.life

    async def on_start(self) -> None:
        make_vm_run(self.paths, self._vm_id)
        self._lock = await own(self.paths.vm_state(self._vm_id) / files.LOCK)
        await self._supervision.take_over()

    async def on_registered(self) -> None:
        self.spawn(self._announce())

    async def on_stop(self) -> None:
        await self._supervision.let_go()

    async def _announce(self) -> None:
        """Tell the api that this supervisor serves, again and again until the api has heard: it
        may be restarting."""
        while True:
            try:
                await self.ask(api.SUPERVISOR_READY(id=self._vm_id, pid=os.getpid()))
                return
            except BangerError:
                await asyncio.sleep(RETRY_SECONDS)

    # -- what the supervision asks of its process (``SupervisorProcess``) ---------------------

    async def store_state(self, state: State, reason: str, *, wakes: bool) -> None:
        update = store.VM_UPDATE(id=self._vm_id, state=state, reason=reason, wakes=wakes)
        while self._life.state == state:
            try:
                await self.ask(update)
                return
            except BangerError as error:
                if error.code is Code.NOT_FOUND:
                    return
                self.log.warning("state not stored yet", state=state, error=error.message)
                await asyncio.sleep(RETRY_SECONDS)

    async def note_use(self) -> None:
        try:
            await self.ask(store.VM_TOUCH(id=self._vm_id, at=now_rfc3339()))
        except BangerError as error:
            self.log.warning("use not noted", error=error.message)

    async def leave(self) -> None:
        await self.idle()
        self.stopping.set()

    def spawn(self, task: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self.background.spawn(task)

    def status(self) -> dict[str, Any]:
        """In the answer to a ping: the VM's state, which the store may not have yet."""
        return {"state": self._life.state}

    # -- verbs ------------------------------------------------------------------------------

    @handles(supervisor.START)
    async def start(self, _request: Empty, call: Call) -> MachineState:
        try:
            await self._supervision.start(call.progress)
        except asyncio.CancelledError:
            if not self._is_taken_back(call) or await self._supervision.abandon_start():
                raise
        return self._state()

    def _is_taken_back(self, call: Call) -> bool:
        """Whether a cancelled call was cancelled by its caller. A deadline that has passed, or the
        end of this process, takes nothing back."""
        return time.monotonic() < call.deadline and not self.stopping.is_set()

    @handles(supervisor.STOP)
    async def stop(self, request: MachineStop, call: Call) -> MachineState:
        call.progress("stop", "asking the guest to power off")
        limit = min(time.monotonic() + request.timeout, call.deadline - 1.0)
        taken_back = partial(self._is_taken_back, call)
        await self._supervision.stop(limit, stored=request.stored, taken_back=taken_back)
        return self._state()

    @handles(supervisor.KILL)
    async def kill(self, request: MachineKill, _call: Call) -> MachineState:
        await self._supervision.kill(signal.Signals(request.signal), forget=request.forget)
        return self._state()

    @handles(supervisor.PAUSE)
    async def pause(self, _request: Empty, _call: Call) -> MachineState:
        await self._supervision.pause()
        return self._state()

    @handles(supervisor.RESUME)
    async def resume(self, _request: Empty, _call: Call) -> MachineState:
        await self._supervision.resume()
        return self._state()

    @handles(supervisor.SUSPEND)
    async def suspend(self, request: MachineSuspend, call: Call) -> MachineState:
        reason = request.reason if request.hold else None
        await self._supervision.saving.suspend(call.progress, asleep=reason)
        return self._state()

    @handles(supervisor.DISCARD)
    async def discard(self, _request: Empty, _call: Call) -> MachineState:
        await self._supervision.saving.discard()
        return self._state()

    @handles(supervisor.SAVE)
    async def save(self, request: MachineSave, call: Call) -> MachineSaved:
        target, saving = Path(request.directory), self._supervision.saving
        return await saving.save(target, memory=request.memory, report=call.progress)

    @handles(supervisor.RESTORE)
    async def restore(self, request: MachineRestore, call: Call) -> MachineState:
        source, saving = Path(request.directory), self._supervision.saving
        await saving.restore(source, memory=request.memory, report=call.progress)
        return self._state()

    @handles(supervisor.STATE)
    async def state(self, _request: Empty, _call: Call) -> MachineState:
        return self._state()

    def _state(self) -> MachineState:
        return MachineState(state=self._life.state, reason=self._life.reason)

    @handles(supervisor.APPLY)
    async def apply(self, request: MachineApply, _call: Call) -> None:
        await self._supervision.apply(request.vm)

    @handles(supervisor.HAND_OVER)
    async def hand_over(self, request: MachineApply, _call: Call) -> MachineState:
        await self._supervision.hand_over(request.vm)
        return self._state()

    @handles(supervisor.AWAIT_SYSTEM)
    async def await_system(self, _request: Empty, call: Call) -> SystemState:
        _, agent = self._answering()
        return await await_system(agent, call.deadline)

    @handles(supervisor.ACTIVITY)
    async def activity(self, _request: Empty, call: Call) -> Activity:
        running, agent = self._answering()
        for_nothing = self._supervision.woken_for_nothing
        vm, deadline = self._life.vm, call.deadline
        return await reports.activity(vm, running, agent, deadline, for_nothing=for_nothing)

    @handles(supervisor.STATS)
    async def stats(self, _request: Empty, call: Call) -> GuestStats:
        running, agent = self._running()
        asked = None if self._is_paused else agent
        return await reports.stats(self._life.vm, running, asked, call.deadline)

    @handles(supervisor.PORTS)
    async def ports(self, _request: Empty, call: Call) -> PortList:
        running, agent = self._answering()
        return await listing.ports(self._life.vm, running, agent, call.deadline)

    @handles(supervisor.EXEC)
    async def execute(self, request: GuestExec, call: Call) -> GuestOutput:
        _, agent = self._answering()
        return await commands.execute(agent, request, call.deadline)

    @handles(supervisor.HEALTH)
    async def health(self, _request: Empty, call: Call) -> Health:
        running, agent = self._running()
        vm, paused = self._life.vm, self._is_paused
        return await reports.health(vm, running, agent, call.deadline, paused=paused)

    @property
    def _is_paused(self) -> bool:
        return self._life.state == "paused"

    def _running(self) -> tuple[RunningVm, Agent | None]:
        if self._life.running is None:
            raise BangerError(Code.NOT_RUNNING, f"{self._life.vm.name} is not running")
        return self._life.running, self._life.agent

    def _answering(self) -> tuple[RunningVm, Agent]:
        running, agent = self._running()
        if agent is None:
            raise BangerError(
                Code.NOT_RUNNING,
                f"the guest agent of {self._life.vm.name} does not answer yet",
            )
        return running, agent
