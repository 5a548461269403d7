"""Verbs that only look: list, show, stats, ports, health, operations."""

import time

from services.api.verbs.publish import Publishing
from services.api.vm_view import view
from shared.bus.handlers import Call, handles
from shared.contract.lifecycle import LIVE, Action, check
from shared.contract.messages.operation import Operation, OperationList, OperationRef
from shared.contract.messages.vm import (
    Check,
    Empty,
    Health,
    PortList,
    ResolvedList,
    Vm,
    VmList,
    VmRef,
    VmRefs,
    VmStats,
    VmView,
)
from shared.contract.verbs import api, store, supervisor
from shared.errors import BangerError, Code
from shared.vm import files

MIB = 1024 * 1024


class Reports(Publishing):
    """What a VM is, uses and listens on."""

    @handles(api.VM_LIST)
    async def list_vms(self, _request: Empty, _call: Call) -> VmList:
        return VmList(vms=[view(vm, self.paths) for vm in await self._rows()])

    @handles(api.VM_RESOLVE)
    async def resolve(self, request: VmRefs, _call: Call) -> ResolvedList:
        return await self.ask(store.VM_RESOLVE(refs=request.refs))

    @handles(api.VM_PRUNABLE)
    async def prunable(self, _request: Empty, _call: Call) -> VmList:
        """A VM that is stopping is none of them: it may be one that is being restarted."""
        rows = [vm for vm in await self._rows() if vm.state not in LIVE]
        return VmList(vms=[view(vm, self.paths) for vm in rows])

    @handles(api.VM_SHOW)
    async def show(self, request: VmRef, _call: Call) -> VmView:
        return view(await self._find(request.ref), self.paths)

    @handles(api.VM_STATS)
    async def stats(self, request: VmRef, call: Call) -> VmStats:
        vm = await self._find(request.ref)
        sample = self._disk_stats(vm)
        if vm.state in LIVE and self._supervisors.serves(vm.id):
            try:
                running = await self.ask(supervisor.STATS().at(vm.id), deadline=call.deadline)
            except BangerError as error:
                if error.code is not Code.NOT_RUNNING:  # not yet, or not any more
                    raise
            else:
                sample.cpu_seconds = running.cpu_seconds
                sample.resident_bytes = running.resident_bytes
                sample.uptime = running.uptime
                sample.received_bytes = running.received_bytes
                sample.sent_bytes = running.sent_bytes
        sample.at = time.monotonic()
        return sample

    def _disk_stats(self, vm: Vm) -> VmStats:
        apparent = allocated = 0
        for name in (files.OVERLAY, files.WORK_DISK):
            try:
                info = (self.paths.vm_state(vm.id) / name).stat()
            except FileNotFoundError:
                continue  # made at the first start
            apparent += info.st_size
            allocated += info.st_blocks * 512  # stat(2): st_blocks counts 512-byte units
        return VmStats(
            id=vm.id,
            name=vm.name,
            state=vm.state,
            at=0.0,
            vcpu=vm.vcpu,
            memory_bytes=vm.memory_mib * MIB,
            disk_apparent=apparent,
            disk_allocated=allocated,
        )

    @handles(api.VM_PORTS)
    async def ports(self, request: VmRef, call: Call) -> PortList:
        vm = await self._find(request.ref)
        check(vm.name, vm.state, Action.SESSION)
        return await self.ask(supervisor.PORTS().at(vm.id), deadline=call.deadline)

    @handles(api.VM_HEALTH)
    async def health(self, request: VmRef, call: Call) -> Health:
        vm = await self._find(request.ref)
        if vm.state not in LIVE or not self._supervisors.serves(vm.id):
            detail = f"{vm.name} is {vm.state}" + (f": {vm.reason}" if vm.reason else "")
            checks = [Check(name="supervisor", ok=False, detail=detail)]
            return Health(id=vm.id, name=vm.name, healthy=False, checks=checks)
        return await self.ask(supervisor.HEALTH().at(vm.id), deadline=call.deadline)

    # -- operations -------------------------------------------------------------------------

    @handles(api.OPS_LIST)
    async def list_operations(self, _request: Empty, _call: Call) -> OperationList:
        self._operations.prune(time.monotonic())
        return OperationList(operations=self._operations.list())

    @handles(api.OPS_SHOW)
    async def show_operation(self, request: OperationRef, _call: Call) -> Operation:
        return self._operations.find(request.ref)

    @handles(api.OPS_CANCEL)
    async def cancel_operation(self, request: OperationRef, call: Call) -> Operation:
        """Returns when the operation has ended, with what was undone undone."""
        operation = self._operations.find(request.ref)
        await self._operations.cancelled(operation, call.deadline)
        return operation
