"""Boots, stops and ends VMs through their supervisors."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from services.api.machines.corrections import LOST_SECONDS, Corrections
from services.api.machines.supervisors import Supervisors
from services.api.machines.vm_view import vmm_of
from shared.bus.ask import Ask
from shared.contract.lifecycle import LIVE
from shared.contract.messages.machine import MachineState
from shared.contract.messages.vm import Vm, WaitFor
from shared.contract.verb import Request, Result
from shared.contract.verbs import nat, store, supervisor
from shared.errors import BangerError, Code
from shared.host.process import ENDING, Watch
from shared.host.retry import RetryWindow
from shared.logs import Log
from shared.paths import Paths
from shared.vm.at_rest import state_at_rest
from shared.vm.handle import remove_handle

KILL_SECONDS = 10.0
"""What a supervisor gets to end its VMM before both are ended without its help."""
SUCCESSOR_SECONDS = 20.0
"""What the successor of a killed supervisor may take to be started."""
RETRY_INTERVAL = 0.02


class Caller(Protocol):
    """On whose behalf a supervisor is asked; a ``Call`` is one."""

    @property
    def deadline(self) -> float:
        """CLOCK_MONOTONIC seconds."""

    def progress(self, stage: str, message: str, fraction: float | None = None) -> None:
        """Hear how far it is."""


class Machines:
    """Asks supervisors, and waits for those that start or exit."""

    def __init__(
        self, ask: Ask, paths: Paths, log: Log, supervisors: Supervisors, corrections: Corrections
    ) -> None:
        self._ask = ask
        self._paths = paths
        self._log = log
        self._supervisors = supervisors
        self._corrections = corrections
        self._locks: dict[str, asyncio.Lock] = {}
        self._expected = corrections.being_made

    def serialised(self, vm_id: str) -> asyncio.Lock:
        """Held while a VM starts, stops or is removed: per VM, never globally."""
        return self._locks.setdefault(vm_id, asyncio.Lock())

    @contextlib.contextmanager
    def expected(self, vm_id: str) -> Iterator[None]:
        """Inside, the VM may be ``starting`` without a supervisor: it is about to get one."""
        self._expected.add(vm_id)
        try:
            yield
        finally:
            self._expected.discard(vm_id)

    def supervised(self, vm_id: str) -> bool:
        """Whether the VM has a supervisor, or is about to get one."""
        return self._supervisors.knows(vm_id) or vm_id in self._expected

    async def boot(
        self,
        vm: Vm,
        call: Caller,
        *,
        is_new: bool = False,
        saved: str = "",
        checked: bool = False,
    ) -> MachineState:
        """Return when the guest answers. Raises what the supervisor says.

        A caller that is cancelled waits until the boot is undone. When the guest was ready by then,
        nothing is undone and the caller is not cancelled.

        ``is_new``: the VM was made a moment ago, so no VMM of its own is looked for. ``saved``: the
        directory of the saved machine that it is a copy of, of use until it has disks. ``checked``:
        its memory is known to be as it was written.
        """
        window = _window()
        while True:
            spec = self._corrections.supervisor_spec(
                vm, is_new=is_new, saved=saved, checked=checked
            )
            await self._supervisors.ensure(spec)
            try:
                return await self._request(vm, supervisor.START(), call, settle=True)
            except BangerError as error:
                # The supervisor was about to exit, or was killed: ask its successor. Or the broker
                # was killed: ask again, which joins the boot under way.
                await window.wait_or_raise(error)
                vm, is_new = replace(vm, state="stopped"), False  # the row may say so by now

    async def stop(
        self, vm: Vm, seconds: float, call: Caller, *, stored: bool = False
    ) -> MachineState:
        """Power off, and after ``seconds`` end the VMM; returns when its supervisor is gone.
        ``stored``: the row says ``stopping`` already.

        A caller that is cancelled waits until the VM runs on. When it could not be kept from
        ending, the caller gets its end and is not cancelled.
        """
        window = _window()
        while await self._has_supervisor(vm) or await self._taken_over(vm):
            request = supervisor.STOP(timeout=seconds, stored=stored)
            try:
                ended = await self._request(vm, request, call, settle=True)
                return await self._gone(vm, ended)
            except BangerError as error:
                await window.wait_or_raise(error)  # the VM ended by itself, or as in ``boot``
                stored = False  # a successor has stored the state that it found
        return await self._end_orphan(vm)

    async def await_stage(self, vm: Vm, stage: WaitFor, call: Caller) -> None:
        """Wait until a guest that has booted is as far as ``stage``. A caller that was cancelled
        too late for the boot is cancelled here.

        Raises:
            BangerError: ``guest_failed`` for a systemd that is not up when its boot is over, else
                as ``ask``.
        """
        if stage == "ready":
            return
        if (task := asyncio.current_task()) and task.cancelling():
            raise asyncio.CancelledError
        call.progress("system", "waiting for the guest's systemd")
        told = await self._request(vm, supervisor.AWAIT_SYSTEM(), call)
        if told.state == "degraded":
            call.progress("system", f"units that failed: {', '.join(told.failed)}")
        elif told.state not in ("", "running"):
            raise BangerError(
                Code.GUEST_FAILED,
                f"the systemd of {vm.name} is {told.state}",
                hint=f"see: banger vm logs {vm.name}",
            )

    async def ask(self, vm: Vm, request: Request[MachineState], call: Caller) -> MachineState:
        """Ask the VM's supervisor within the deadline of ``call``, and pass its progress on."""
        return await self._request(vm, request, call)

    async def have_done(self, vm: Vm, request: Request[Result], call: Caller) -> Result:
        """Ask the VM's supervisor for what needs no VMM; one is started if there is none.

        A caller that is cancelled waits until it is undone, or gets the result of what could not
        be prevented any more.
        """
        window = _window()
        while True:
            await self._supervisors.ensure(self._corrections.supervisor_spec(vm))
            try:
                return await self._request(vm, request, call, settle=True)
            except BangerError as error:
                await window.wait_or_raise(error)  # as in ``boot``

    async def save(self, vm: Vm, directory: Path, call: Caller, *, memory: bool = True) -> None:
        """Have the VM saved to ``directory``, which is not there. Raises what the supervisor says.

        A supervisor that was killed may have done it before: then its successor says that the
        directory is there.
        """
        request = supervisor.SAVE(directory=str(directory), memory=memory)
        try:
            await self.have_done(vm, request, call)
        except BangerError as error:
            if error.code is not Code.CONFLICT or not directory.exists():
                raise

    async def apply(self, vm: Vm, call: Caller) -> bool:
        """Make the running VM what the row ``vm`` says; False when it does not run."""
        window = _window()
        while await self._has_supervisor(vm):
            try:
                await self._request(vm, supervisor.APPLY(vm=vm), call)
                return True
            except BangerError as error:
                if error.code is Code.NOT_RUNNING:
                    return False
                await window.wait_or_raise(error)  # as in ``boot``
        return False

    async def apply_until_over(self, vm: Vm, call: Caller) -> None:
        """As ``apply``, but wait for the VMM of a VM that boots, or whose guest reboots itself."""
        while not await self.apply(vm, call):
            if not self._supervisors.knows(vm.id):
                return
            await asyncio.sleep(RETRY_INTERVAL)

    async def _has_supervisor(self, vm: Vm) -> bool:
        """Whether a supervisor serves the VM. A VMM that lost its own gets another in a moment."""
        limit = time.monotonic() + SUCCESSOR_SECONDS
        while not self._supervisors.knows(vm.id) and vmm_of(vm.id, self._paths):
            if time.monotonic() > limit or self._supervisors.has_given_up(vm.id):
                return False
            await asyncio.sleep(RETRY_INTERVAL)
        await self._supervisors.settle(vm.id)
        return self._supervisors.serves(vm.id)

    async def _taken_over(self, vm: Vm) -> bool:
        """Start a supervisor for a VMM that has lost its own, since only a supervisor can power the
        guest off. Returns whether one serves."""
        if vmm_of(vm.id, self._paths) is None:
            return False
        try:
            await self._supervisors.ensure(self._corrections.supervisor_spec(vm))
        except BangerError as error:
            self._log.warning("not taken over", vm=vm.id, error=error.message)
            return False
        return True

    async def end(
        self, vm: Vm, number: signal.Signals = signal.SIGKILL, *, forget: bool = False
    ) -> MachineState:
        """Signal the VMM; return when it has ended if the signal is one that ends it.

        Does not depend on the caller's deadline. For SIGKILL, a supervisor that does not answer is
        killed together with its VMM. ``forget``: the VM is being deleted, so its end is not stored.
        """
        window = _window()
        request = supervisor.KILL(signal=number, forget=forget).at(vm.id)
        while await self._has_supervisor(vm):
            deadline = time.monotonic() + KILL_SECONDS
            try:
                told = await self._ask(request, deadline=deadline)
                return await self._gone(vm, told) if number in ENDING else told
            except BangerError as error:
                if error.code is Code.TIMEOUT and number == signal.SIGKILL:
                    self._supervisors.kill(vm.id)
                    await self._supervisors.ended(vm.id)
                    break
                await window.wait_or_raise(error)  # the VM was about to end, or as in ``boot``
        return await self._end_orphan(vm, number, forget=forget)

    async def _gone(self, vm: Vm, told: MachineState) -> MachineState:
        """Wait until the supervisor, which has answered ``told``, has exited. A cancel cannot take
        back what it answered."""
        if told.state not in LIVE:
            self._supervisors.conclude(vm.id)
        with contextlib.suppress(asyncio.CancelledError):
            await self._supervisors.ended(vm.id)
        return told

    async def _end_orphan(
        self, vm: Vm, number: signal.Signals = signal.SIGKILL, *, forget: bool = False
    ) -> MachineState:
        """Signal a VMM that has no supervisor, if there is one, by its pidfd."""
        process = vmm_of(vm.id, self._paths)
        try:
            watch = Watch(process) if process else None
        except BangerError:
            watch = None  # it ended this moment
        if watch is None:
            return MachineState(state=vm.state) if forget else await self._without_vmm(vm)
        with contextlib.closing(watch):
            await self._signal(vm, watch, number)
            if number not in ENDING:
                return MachineState(state=vm.state, reason=vm.reason)
            await watch.ended()
        remove_handle(self._paths.vm_run(vm.id))
        return MachineState(state="stopped") if forget else await self._stopped(vm)

    async def _without_vmm(self, vm: Vm) -> MachineState:
        """The state in the row of a VM that has no VMM; a row that claims one is corrected."""
        row = await self._corrections.row(vm.id)
        if row.state in LIVE and not self.supervised(vm.id):
            return await self._stopped(vm)
        return MachineState(state=row.state, reason=row.reason)

    async def _stopped(self, vm: Vm) -> MachineState:
        state = state_at_rest(self._paths.vm_state(vm.id))
        await self._ask(store.VM_UPDATE(id=vm.id, state=state, reason=""))
        return MachineState(state=state)

    async def _signal(self, vm: Vm, watch: Watch, number: signal.Signals) -> None:
        """A jailed VMM has a uid of its own; only nat, which made the jail, may signal it."""
        try:
            watch.kill(number)
        except PermissionError:
            try:
                await self._ask(nat.UNJAIL(id=vm.id, signal=number))
            except BangerError as error:
                if error.code is not Code.NOT_RUNNING:  # it ended this moment
                    raise

    def forget(self, vm_id: str) -> None:
        """Drop the lock of a VM that is deleted."""
        self._locks.pop(vm_id, None)

    async def _request(
        self, vm: Vm, request: Request[Result], call: Caller, *, settle: bool = False
    ) -> Result:
        return await self._ask(
            request.at(vm.id), deadline=call.deadline, on_partial=call.progress, settle=settle
        )


def _window() -> RetryWindow:
    return RetryWindow(LOST_SECONDS, pause=RETRY_INTERVAL)
