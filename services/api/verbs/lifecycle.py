"""Verbs that change whether a VM runs: start, stop, restart, kill, pause, suspend, delete."""

import asyncio
import signal
import time

from msgspec.structs import replace

from services.api.context import ApiContext, is_asleep
from services.api.machines.removal import remove
from services.api.verbs.file_sync import send_files
from services.api.verbs.operations import under_way
from shared.bus.handlers import Call, handles
from shared.contract.lifecycle import LIVE, Action, check, states_for
from shared.contract.messages.machine import MachineState
from shared.contract.messages.vm import Vm, VmRef, VmView, WaitFor
from shared.contract.messages.vm_request import VmDelete, VmKill, VmRestart, VmStart, VmStop
from shared.contract.reference import by_id, require_whole
from shared.contract.verb import Request
from shared.contract.verbs import api, store, supervisor
from shared.errors import BangerError, Code

STOPPABLE = sorted(LIVE & states_for(Action.STOP))
NO_VM = (Code.INVALID, Code.NOT_FOUND, Code.AMBIGUOUS)
"""Errors of a reference that means no VM."""


class LifecycleVerbs:
    """Each verb looks the VM up, asks the table of states, and lets its supervisor do it."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    @handles(api.VM_START)
    async def start(self, request: VmStart, call: Call) -> VmView:
        vm, boots = await self._context.find(request.ref), False
        async with under_way(self._context.operations, call, "vm.start", vm.name):
            async with self._context.exclusively(vm) as vm:
                if boots := check(vm.name, vm.state, Action.START):
                    if request.discard_memory:
                        vm = await self._without_memory(vm, call)
                    vm = await self._boot(vm, call)
            return await self._booted(vm, request.wait, call, sends_files=boots)

    async def _boot(self, vm: Vm, call: Call) -> Vm:
        self._context.spawn(self._context.touch(vm.id))
        return _told(vm, await self._context.machines.boot(vm, call))

    async def _without_memory(self, vm: Vm, call: Call) -> Vm:
        if vm.state != "suspended":
            return vm
        machines = self._context.machines
        return _told(vm, await machines.have_done(vm, supervisor.DISCARD(), call))

    async def _booted(self, vm: Vm, stage: WaitFor, call: Call, *, sends_files: bool) -> VmView:
        await self._context.machines.await_stage(vm, stage, call)
        notices = await send_files(self._context, vm, call) if sends_files else []
        shown = self._context.view(vm)
        shown.notices = notices
        return shown

    @handles(api.VM_STOP)
    async def stop(self, request: VmStop, call: Call) -> VmView:
        # Not serialised with a start: a stop is what a user does when a start takes too long.
        context = self._context
        try:
            vm = await self._stop(request, call)
        except BaseException as error:
            means_no_vm = isinstance(error, BangerError) and error.code in NO_VM
            if not means_no_vm and not context.stopping.is_set():
                context.spawn(context.corrections.stop_not_heard(request.ref))
            raise
        return context.view(vm)

    async def _stop(self, request: VmStop, call: Call) -> Vm:
        context = self._context
        to_stop = store.VM_TRANSITION(ref=request.ref, state="stopping", expected=STOPPABLE)
        stored = (await context.ask(to_stop)).vm
        vm = context.live(stored)
        if vm.state != stored.state:  # nothing runs
            return await context.ask(store.VM_UPDATE(id=vm.id, state=vm.state, reason=vm.reason))
        if not check(vm.name, vm.state, Action.STOP):
            return vm
        async with under_way(context.operations, call, "vm.stop", vm.name):
            is_stored = vm.state == "stopping"
            ended = await context.machines.stop(vm, request.timeout, call, stored=is_stored)
        return _told(vm, ended)

    @handles(api.VM_RESTART)
    async def restart(self, request: VmRestart, call: Call) -> VmView:
        vm = await self._context.find(request.ref)
        check(vm.name, vm.state, Action.RESTART)
        async with under_way(self._context.operations, call, "vm.restart", vm.name):
            async with self._context.exclusively(vm) as vm:
                if check(vm.name, vm.state, Action.STOP):
                    vm = _told(vm, await self._context.machines.stop(vm, request.timeout, call))
                    self._refuse_to_go_on(vm, call)
                vm = await self._boot(vm, call)
            return await self._booted(vm, request.wait, call, sends_files=True)

    def _refuse_to_go_on(self, vm: Vm, call: Call) -> None:
        """Raises ``cancelled`` when the restart was cancelled too late for the VM not to stop."""
        task = asyncio.current_task()
        if not task or not task.cancelling():
            return
        if self._context.stopping.is_set() or time.monotonic() >= call.deadline:
            raise asyncio.CancelledError  # not by its caller
        raise BangerError(
            Code.CANCELLED,
            f"the restart of {vm.name} was cancelled after its guest had been told to power off: "
            f"{vm.name} is {vm.state}",
            hint=f"start it: banger vm start {vm.name}",
        )

    @handles(api.VM_KILL)
    async def kill(self, request: VmKill, _call: Call) -> VmView:
        number, context = signal_number(request.signal), self._context
        vm = await self._find_whole(request.ref)
        if check(vm.name, vm.state, Action.KILL):
            vm = _told(vm, await context.completed(context.machines.end(vm, number)))
        return context.view(vm)

    @handles(api.VM_PAUSE)
    async def pause(self, request: VmRef, call: Call) -> VmView:
        vm = await self._context.find(request.ref)
        return await self._ask(vm, Action.PAUSE, supervisor.PAUSE(), call)

    @handles(api.VM_RESUME)
    async def resume(self, request: VmRef, call: Call) -> VmView:
        vm = await self._context.find(request.ref)
        if vm.state == "paused":
            # Before it runs, or it would be found unused that moment.
            await self._context.touch(vm.id)
        if vm.state == "suspended":
            return await self._wake(vm, call)
        return await self._ask(vm, Action.RESUME, supervisor.RESUME(), call)

    async def _wake(self, vm: Vm, call: Call) -> VmView:
        async with under_way(self._context.operations, call, "vm.resume", vm.name):
            async with self._context.exclusively(vm) as vm:
                if vm.state == "suspended":
                    vm = await self._boot(vm, call)
            return self._context.view(vm)

    @handles(api.VM_SUSPEND)
    async def suspend(self, request: VmRef, call: Call) -> VmView:
        context = self._context
        vm = await context.find(request.ref)
        async with under_way(context.operations, call, "vm.suspend", vm.name):
            async with context.exclusively(vm) as vm:
                # One that is asleep stays where it is from now on, whoever uses it.
                if check(vm.name, vm.state, Action.SUSPEND) or is_asleep(vm):
                    told = await context.machines.have_done(vm, supervisor.SUSPEND(), call)
                    vm = _told(vm, told)
            return context.view(vm)

    async def _ask(
        self, vm: Vm, what: Action, request: Request[MachineState], call: Call
    ) -> VmView:
        if check(vm.name, vm.state, what):
            asked = self._context.machines.ask(vm, request, call)
            vm = _told(vm, await self._context.completed(asked))
        return self._context.view(vm)

    async def _find_whole(self, ref: str) -> Vm:
        vm = await self._context.find(ref)
        require_whole("VM", ref, vm.id, vm.name)
        return vm

    @handles(api.VM_DELETE)
    async def delete(self, request: VmDelete, _call: Call) -> VmView:
        vm = await self._find_whole(request.ref)
        shown = self._context.view(vm)
        if not request.unless_live:
            self._context.being_deleted.add(vm.id)
        try:
            problems = await self._end_and_remove(vm, unless_live=request.unless_live)
        except BaseException:
            self._context.spawn(self._store_end(vm))
            raise
        finally:
            self._context.being_deleted.discard(vm.id)
        self._context.machines.forget(vm.id)
        self._context.leased.note_deleted(vm.id)
        self._context.moved_heads.forget(vm.id)
        if problems:
            raise BangerError(
                Code.DENIED,
                f"{vm.name} was deleted, but some of its files were not: {problems[0]}",
                hint=f"remove the rest of {self._context.paths.vm_state(vm.id)}",
            )
        return shown

    async def _end_and_remove(self, vm: Vm, *, unless_live: bool) -> list[BangerError | OSError]:
        """Returns what went wrong with the files. After any error that is raised the row is there
        still, so that the VM can be deleted again."""
        context = self._context
        if not unless_live:
            return await context.completed(self._kill_and_remove(vm))
        _refuse_live(vm)
        async with context.machines.serialised(vm.id):
            _refuse_live(await context.find(by_id(vm.id)))  # a start may have had the lock
            return await context.completed(self._remove(vm))

    async def _kill_and_remove(self, vm: Vm) -> list[BangerError | OSError]:
        context = self._context
        await context.machines.end(vm, forget=True)
        async with context.machines.serialised(vm.id):
            if context.supervisors.knows(vm.id):  # a start had the lock meanwhile
                await context.machines.end(vm, forget=True)
            return await self._remove(vm)

    async def _remove(self, vm: Vm) -> list[BangerError | OSError]:
        problems = await remove(vm, self._context.ask, self._context.paths)
        for problem in problems:
            if isinstance(problem, BangerError):
                raise problem
        return problems

    async def _store_end(self, vm: Vm) -> None:
        """After a deletion that ended half-way: the supervisor was told not to store the end."""
        context = self._context
        await context.supervisors.ended(vm.id)
        await context.corrections.vm_ended(vm.id, "", lambda: not context.runs(vm.id))


def _told(vm: Vm, told: MachineState) -> Vm:
    return replace(vm, state=told.state, reason=told.reason)


def _refuse_live(vm: Vm) -> None:
    if vm.state in LIVE:
        raise BangerError(
            Code.CONFLICT,
            f"{vm.name} is not deleted: it is {vm.state}",
            hint=f"stop it first: banger vm stop {vm.name}",
        )


def signal_number(name: str) -> signal.Signals:
    """The signal called ``name`` ("KILL", "SIGTERM", "9"). Raises ``invalid``."""
    wanted = name.upper().removeprefix("SIG")
    try:
        if wanted.isdigit():
            return signal.Signals(int(wanted))
        return signal.Signals[f"SIG{wanted}"]
    except (KeyError, ValueError):
        raise BangerError(
            Code.INVALID,
            f"unknown signal {name!r}",
            hint="use KILL, TERM, INT, STOP or CONT, for example",
        ) from None
