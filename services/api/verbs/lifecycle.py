"""Verbs that change VMs that are there: start, stop, kill, restart, pause, set, delete."""

import signal

from services.api.policy.network_policy import check_egress
from services.api.policy.sizing import check_sizes
from services.api.verbs.create import Creation
from services.api.vm_view import view
from shared.bus.handlers import Call, handles
from shared.contract.lifecycle import LIVE, Action, check
from shared.contract.messages.vm import Vm, VmDelete, VmKill, VmRef, VmSet, VmStop, VmView
from shared.contract.sizes import host
from shared.contract.verb import Request
from shared.contract.verbs import api, store, supervisor
from shared.errors import BangerError, Code
from shared.vmm.registry import AUTO, check_wanted


class Changes(Creation):
    """Each verb looks the VM up, asks the table of states, and lets its supervisor do it."""

    @handles(api.VM_START)
    async def start(self, request: VmRef, call: Call) -> VmView:
        vm = await self._find(request.ref)
        async with self._operation(call, "vm.start", vm.name), self._machines.serialised(vm.id):
            vm = await self._find(vm.id)
            if check(vm.name, vm.state, Action.START):
                self.background.keep(self._touch(vm.id))
                await self._machines.boot(vm, call)
        return view(await self._find(vm.id), self.paths)

    @handles(api.VM_STOP)
    async def stop(self, request: VmStop, call: Call) -> VmView:
        # Not serialised with the start: stopping is what one does when a start takes too long.
        vm = await self._find(request.ref)
        if check(vm.name, vm.state, Action.STOP):
            async with self._operation(call, "vm.stop", vm.name):
                await self._machines.stop(vm, request.timeout, call)
        return view(await self._find(vm.id), self.paths)

    @handles(api.VM_RESTART)
    async def restart(self, request: VmStop, call: Call) -> VmView:
        vm = await self._find(request.ref)
        check(vm.name, vm.state, Action.RESTART)
        async with self._operation(call, "vm.restart", vm.name), self._machines.serialised(vm.id):
            vm = await self._find(vm.id)
            if check(vm.name, vm.state, Action.STOP):
                await self._machines.stop(vm, request.timeout, call)
            self.background.keep(self._touch(vm.id))
            await self._machines.boot(await self._find(vm.id), call)
        return view(await self._find(vm.id), self.paths)

    @handles(api.VM_KILL)
    async def kill(self, request: VmKill, _call: Call) -> VmView:
        number = signal_number(request.signal)
        vm = await self._find(request.ref)
        if check(vm.name, vm.state, Action.KILL):
            await self._machines.end(vm, number)
        return view(await self._find(vm.id), self.paths)

    @handles(api.VM_PAUSE)
    async def pause(self, request: VmRef, call: Call) -> VmView:
        return await self._ask_machine(request.ref, Action.PAUSE, supervisor.PAUSE(), call)

    @handles(api.VM_RESUME)
    async def resume(self, request: VmRef, call: Call) -> VmView:
        vm = await self._find(request.ref)
        if vm.state == "paused":
            await self._touch(vm.id)  # before it runs, or it would be found unused that moment
        return await self._ask_machine(vm.id, Action.RESUME, supervisor.RESUME(), call)

    async def _ask_machine(
        self, ref: str, what: Action, request: Request[None], call: Call
    ) -> VmView:
        vm = await self._find(ref)
        if check(vm.name, vm.state, what):
            await self._machines.ask(vm, request, call)
        return view(await self._find(vm.id), self.paths)

    @handles(api.VM_ACCESS)
    async def access(self, request: VmRef, _call: Call) -> VmView:
        """How to reach the guest, for somebody who is about to: counts as use."""
        vm = await self._find(request.ref)
        shown = view(vm, self.paths)
        if shown.access is None or vm.state in ("paused", "stopping"):
            check(vm.name, vm.state, Action.SESSION)
            raise BangerError(
                Code.NOT_RUNNING,
                f"{vm.name} does not answer yet",
                hint=f"banger vm health {vm.name} says more",
            )
        self.background.keep(self._touch(vm.id))
        return shown

    @handles(api.VM_DELETE)
    async def delete(self, request: VmDelete, _call: Call) -> VmView:
        vm = await self._find(request.ref)
        shown = view(vm, self.paths)
        if request.unless_live:
            _refuse_live(vm)
        else:
            await self._machines.end(vm)
        async with self._machines.serialised(vm.id):
            if request.unless_live:
                _refuse_live(await self._find(vm.id))  # a start may have been under way
            problems = await self._remove(vm)  # a start that was waiting may have begun meanwhile
        if refusal := next((each for each in problems if isinstance(each, BangerError)), None):
            raise refusal  # the row is there still, so it can be deleted again
        self._machines.forget(vm.id)
        if problems:
            where = self.paths.vm_state(vm.id)
            raise BangerError(
                Code.DENIED,
                f"{vm.name} is deleted, but not all of its files are: {problems[0]}",
                hint=f"remove what is left of {where}",
            )
        return shown

    @handles(api.VM_SET)
    async def set_what_it_has(self, request: VmSet, call: Call) -> VmView:
        vm = await self._find(request.ref)
        async with self._machines.serialised(vm.id):
            vm = await self._find(vm.id)
            nat, allow = bool(request.nat), request.allow or []
            given = request.nat is not None or request.allow is not None
            if given:
                allow = check_egress(vm.network, nat=nat, allow=allow)
            await self._resize(vm, request)
            if given:
                await self._set_egress(vm, nat=nat, allow=allow, call=call)
        return view(await self._find(vm.id), self.paths)

    async def _resize(self, vm: Vm, request: VmSet) -> None:
        changes = (request.vcpu, request.memory_mib, request.disk_bytes, request.vmm)
        if all(change is None for change in changes):
            return
        check(vm.name, vm.state, Action.RESIZE)
        check_wanted(request.vmm or AUTO)
        check_sizes(host(), vcpu=request.vcpu, memory=request.memory_mib, disk=request.disk_bytes)
        if request.disk_bytes is not None and request.disk_bytes < vm.disk_bytes:
            raise BangerError(
                Code.INVALID,
                f"the disk of {vm.name} has {vm.disk_bytes} bytes and cannot shrink",
                hint="disks only grow",
            )
        # The disk itself grows at the next start: its supervisor knows how, and it is stopped.
        update = store.VM_UPDATE(
            id=vm.id,
            vcpu=request.vcpu,
            memory_mib=request.memory_mib,
            disk_bytes=request.disk_bytes,
            vmm=request.vmm,
        )
        await self.ask(update)

    async def _set_egress(self, vm: Vm, *, nat: bool, allow: list[str], call: Call) -> None:
        """The row first: in bridge mode ``nat`` follows it, and a crash leaves what was asked.

        Also when the row says so already: whoever wrote it may have died before the machine had
        heard of it.
        """
        if (nat, allow) != (vm.nat, vm.allow):
            vm = await self.ask(store.VM_UPDATE(id=vm.id, nat=nat, allow=allow))
        await self._apply_network(vm)
        if vm.network == "user":
            await self._machines.ask_until_over(vm, supervisor.APPLY(vm=vm), call)


def _refuse_live(vm: Vm) -> None:
    if vm.state in LIVE:
        raise BangerError(Code.CONFLICT, f"{vm.name} is {vm.state}: it is not deleted")


def signal_number(name: str) -> signal.Signals:
    """The signal called ``name`` ("KILL", "SIGTERM", "9"). Raises ``invalid``."""
    wanted = name.upper().removeprefix("SIG")
    try:
        if wanted.isdigit():
            return signal.Signals(int(wanted))
        return signal.Signals[f"SIG{wanted}"]
    except (KeyError, ValueError):
        raise BangerError(
            Code.INVALID, f"there is no signal {name!r}", hint="try KILL, TERM, INT, STOP or CONT"
        ) from None
