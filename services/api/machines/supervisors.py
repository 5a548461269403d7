"""The supervisors: one process per VM, found again or started again after a crash, never two.

A supervisor reads its VM from stdin and then asks for ``supervisor.ready``. One spare is always
started ahead (spare_supervisor.py).
"""

import asyncio
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from services.api.machines.spare_supervisor import Spare, Spawn
from services.api.machines.vm_view import vmm_of
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code
from shared.host.locks import holder
from shared.host.process import ProcessId, Watch, start_time
from shared.host.restart import RestartPolicy
from shared.logs import Log
from shared.paths import Paths, make_vm_run
from shared.vm import files
from shared.vm.asleep import read_asleep
from shared.vm.handle import remove_handle

NEXT_SPARE = 1.0
"""Seconds after which the next spare is started: by then the guest's own boot has the machine."""
READY_SECONDS = 60.0
"""How long a supervisor may take to call ``supervisor.ready``."""


class RowKeeper(Protocol):
    """Who stores what becomes of VMs. ``holds`` says whether it is still so."""

    async def spec_of(self, vm_id: str) -> SupervisorSpec:
        """What a supervisor that is started again needs. Raises ``not_found``."""

    async def vm_ended(self, vm_id: str, reason: str, holds: Callable[[], bool]) -> None:
        """The VM is left without supervisor and VMM."""

    async def supervisor_given_up(self, vm_id: str, reason: str, holds: Callable[[], bool]) -> None:
        """The VMM lives, but its supervisor cannot be kept alive."""


@dataclass
class _Supervised:
    """One VM that has, or is about to have, a supervisor."""

    watch: Watch
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: bool = False
    """This api has killed it, and ends its VMM itself."""
    concluded: bool = False
    """It has reported the end of its VM: nothing is left to find out or to store."""


class Supervisors:
    """All supervisors of this run directory."""

    def __init__(self, paths: Paths, log: Log, rows: RowKeeper, spawn: Spawn, spare: Spare) -> None:
        self._paths = paths
        self._log = log
        self._rows = rows
        self._known: dict[str, _Supervised] = {}
        self._policies: dict[str, RestartPolicy] = {}
        self._given_up: set[str] = set()
        self._spawn = spawn
        self._spare = spare
        self._closing = False

    # -- starting ---------------------------------------------------------------------------

    async def ensure(self, spec: SupervisorSpec) -> None:
        """Return when the VM has a supervisor that serves.

        Raises:
            BangerError: ``unavailable`` when it did not come up, naming its log.
        """
        supervised = await self._settled(spec)
        if supervised.gone.is_set():
            # It was about to exit. Or it was a spare that is being killed: a pipe takes what is
            # written to it until its reader is gone.
            supervised = await self._settled(spec)
        if supervised.ready.is_set() and not supervised.gone.is_set():
            return
        log = self._paths.vm_state(spec.vm.id) / files.SUPERVISOR_LOG
        raise BangerError(
            Code.UNAVAILABLE,
            f"the supervisor of {spec.vm.name} did not start",
            hint=f"see {log} and {self._spare.errors}",
        )

    async def _settled(self, spec: SupervisorSpec) -> _Supervised:
        """The VM's supervisor, assigned when it has none, once it serves or is gone."""
        if not self.knows(spec.vm.id):
            self._adopt_owner(spec.vm.id)  # this api may not have recovered yet
        supervised = self._known.get(spec.vm.id) or self._assign(spec)
        await _first((supervised.ready, supervised.gone), READY_SECONDS)
        return supervised

    def _assign(self, spec: SupervisorSpec) -> _Supervised:
        vm_id = spec.vm.id
        make_vm_run(self._paths, vm_id)
        self._given_up.discard(vm_id)
        watch = self._spare.assign(msgspec.msgpack.encode(spec))
        if watch is None:
            hint = f"see {self._spare.errors}"
            raise BangerError(
                Code.UNAVAILABLE, "a supervisor ended while it was starting", hint=hint
            )
        supervised = _Supervised(watch)
        self._known[vm_id] = supervised
        self._spawn(self._follow(vm_id, supervised))
        self._log.info("supervisor started", vm=vm_id, of=watch.process.pid)
        asyncio.get_running_loop().call_later(NEXT_SPARE, self.prepare_spare)
        return supervised

    def prepare_spare(self) -> None:
        """Have one supervisor waiting for its VM."""
        self._spare.prepare()

    # -- watching ---------------------------------------------------------------------------

    def on_ready(self, vm_id: str, pid: int) -> None:
        """A supervisor serves: one of this api, or one that an earlier api had started.

        It holds the VM's lock, so it is the one, whatever else was started for the VM meanwhile.
        """
        supervised = self._known.get(vm_id)
        if supervised:
            supervised.ready.set()
        if supervised is None or supervised.watch.process.pid != pid:
            born = start_time(pid)
            if born is not None:
                self._adopt(vm_id, ProcessId(pid, born))

    def knows(self, vm_id: str) -> bool:
        """Whether the VM has a supervisor, be it still on its way."""
        return vm_id in self._known

    def serves(self, vm_id: str) -> bool:
        """Whether the VM has a living supervisor that has called ``supervisor.ready``."""
        supervised = self._known.get(vm_id)
        return supervised is not None and supervised.ready.is_set()

    def has_given_up(self, vm_id: str) -> bool:
        """Whether the VM's VMM goes on without a supervisor, for good."""
        return vm_id in self._given_up

    async def settle(self, vm_id: str) -> None:
        """Wait until a supervisor that is on its way serves, or is gone."""
        supervised = self._known.get(vm_id)
        if supervised:
            await _first((supervised.ready, supervised.gone), READY_SECONDS)

    def conclude(self, vm_id: str) -> None:
        """The VM's supervisor has reported the end of its VM, and is about to exit."""
        supervised = self._known.get(vm_id)
        if supervised:
            supervised.concluded = True

    def kill(self, vm_id: str) -> None:
        """End a supervisor that does not answer; its VMM goes on, and is not taken over."""
        supervised = self._known.get(vm_id)
        if supervised:
            supervised.abandoned = True
            supervised.watch.kill(signal.SIGKILL)

    async def ended(self, vm_id: str) -> None:
        """Wait until the VM's supervisor has ended; at once when it has none."""
        supervised = self._known.get(vm_id)
        if supervised:
            await supervised.gone.wait()

    async def recover(self, vms: list[Vm]) -> list[Vm]:
        """Take over what an earlier api left; returns the VMs that have nothing running.

        A supervisor that lives is watched; a VMM without one gets a new one, and so does a VM that
        is asleep.
        """
        dead: list[Vm] = []
        for vm in vms:
            if self._adopt_owner(vm.id) or self.knows(vm.id):
                continue  # its supervisor serves, or a verb has asked for one
            if self._needs_one(vm.id):
                self._spawn(self._restart(vm.id))
            else:
                remove_handle(self._paths.vm_run(vm.id))
                dead.append(vm)
        return dead

    def _owner(self, vm_id: str) -> ProcessId | None:
        """The supervisor that holds the VM's lock."""
        pid = holder(self._paths.vm_state(vm_id) / files.LOCK)
        pid = pid or holder(self._paths.vm_run(vm_id) / files.OLD_LOCK)
        born = start_time(pid) if pid else None
        return ProcessId(pid, born) if pid and born is not None else None

    def _adopt_owner(self, vm_id: str) -> bool:
        """Watch the supervisor that holds the VM's lock, if there is one, in place of any other
        process that was taken for it. Returns whether there is one."""
        owner = self._owner(vm_id)
        known = self._known.get(vm_id)
        if owner and (known is None or known.watch.process != owner):
            self._adopt(vm_id, owner)
        return owner is not None

    def _adopt(self, vm_id: str, process: ProcessId) -> None:
        try:
            supervised = _Supervised(Watch(process))
        except BangerError:  # it ended this moment
            self._spawn(self._left(vm_id))
            return
        supervised.ready.set()
        self._known[vm_id] = supervised
        self._spawn(self._follow(vm_id, supervised))
        self._log.info("supervisor found", vm=vm_id, of=process.pid)

    async def _follow(self, vm_id: str, supervised: _Supervised) -> None:
        await supervised.watch.ended()
        supervised.watch.close()
        supervised.gone.set()
        if self._known.get(vm_id) is not supervised:
            return  # another process held the lock
        del self._known[vm_id]
        if supervised.concluded:
            self._forget(vm_id)
        else:
            await self._left(vm_id, abandoned=supervised.abandoned)

    async def _left(self, vm_id: str, *, abandoned: bool = False) -> None:
        """The VM has no supervisor any more."""
        if not self._closing and not abandoned and self._needs_one(vm_id):
            await self._restart(vm_id)
            return
        self._forget(vm_id)
        reason = "its supervisor and its VMM ended"
        await self._rows.vm_ended(vm_id, reason, lambda: not self.knows(vm_id))

    def _needs_one(self, vm_id: str) -> bool:
        """Whether there is something to supervise: a VMM, or the ports of a VM that is asleep."""
        asleep = read_asleep(self._paths.vm_state(vm_id)) is not None
        return asleep or vmm_of(vm_id, self._paths) is not None

    def _forget(self, vm_id: str) -> None:
        self._policies.pop(vm_id, None)
        self._given_up.discard(vm_id)

    async def _restart(self, vm_id: str) -> None:
        policy = self._policies.setdefault(vm_id, RestartPolicy())
        delay = policy.after_exit(time.monotonic(), random.random())
        if delay is None:
            self._given_up.add(vm_id)
            reason = "its supervisor ended too often, see its log"
            await self._rows.supervisor_given_up(vm_id, reason, lambda: self.has_given_up(vm_id))
            return
        self._log.warning("supervisor ended, its VM is there: starting it again", vm=vm_id)
        await asyncio.sleep(delay)
        if self._adopt_owner(vm_id):  # an earlier api had started it
            return
        try:
            spec = await self._rows.spec_of(vm_id)
            if not self._needs_one(vm_id):  # it was ended meanwhile
                await self._left(vm_id)
                return
            await self.ensure(spec)
        except BangerError as error:
            if error.code is Code.NOT_FOUND:
                return
            self._log.error("supervisor not started", vm=vm_id, error=error.message)
            if vm_id not in self._known:
                await self._restart(vm_id)

    def close(self) -> None:
        """Let go of all supervisors; they go on. The spare ends with its pipe."""
        self._closing = True
        for supervised in self._known.values():
            supervised.watch.close()
        self._spare.close()


async def _first(events: tuple[asyncio.Event, ...], seconds: float) -> None:
    """Wait until one of ``events`` is set, at most ``seconds``."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            task.cancel()
