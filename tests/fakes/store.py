"""A store in memory. It passes the contract tests of the real one (tests/unit/fakes)."""

from ipaddress import IPv4Network
from itertools import combinations
from typing import Any

from msgspec.structs import replace

from shared.addresses.subnet import guest_addresses
from shared.bus.handlers import Call, handles
from shared.contract.messages.page import After
from shared.contract.messages.rows import (
    PoolClaim,
    Transition,
    VmClaim,
    VmReserve,
    VmRows,
    VmTouch,
    VmTransition,
    VmUpdate,
    VmWorkspace,
)
from shared.contract.messages.vm import (
    Publication,
    Resolved,
    ResolvedList,
    State,
    Vm,
    VmId,
    VmRef,
    VmRefs,
    VmSpec,
)
from shared.contract.publication import clash
from shared.contract.reference import BY_ID, by_id, require_whole
from shared.contract.verbs import store
from shared.contract.workspaces import with_workspace
from shared.errors import BangerError, Code
from tests.fakes.rows import find


class FakeStore:
    """``vms`` may be changed by a test, as if somebody had done it before."""

    def __init__(self, *vms: Vm) -> None:
        self.vms = {vm.id: vm for vm in vms}
        self.seq = 0
        self._made: dict[str, str] = {}

    @handles(store.VM_GET)
    async def get(self, request: VmRef, _call: Call) -> Vm:
        return self._meant(request.ref)

    def _meant(self, ref: str) -> Vm:
        exactly = ref.startswith(BY_ID)
        return find("VM", ref, (vm for vm in self.vms.values() if exactly or not vm.keeper))

    @handles(store.VM_RESOLVE)
    async def resolve(self, request: VmRefs, _call: Call) -> ResolvedList:
        found: dict[str, Resolved] = {}
        for ref in request.refs:
            try:
                vm = self._meant(ref)
                if request.whole_names:
                    require_whole("VM", ref, vm.id, vm.name)
            except BangerError as error:
                found.setdefault(f"ref {ref}", Resolved(ref=ref, error=error.to_wire()))
            else:
                found.setdefault(vm.id, Resolved(ref=ref, id=vm.id, name=vm.name))
        return ResolvedList(resolved=list(found.values()))

    @handles(store.VM_LIST)
    async def list_vms(self, _request: After, _call: Call) -> VmRows:
        return VmRows(vms=list(self.vms.values()), seq=self.seq)

    @handles(store.VM_SNAPSHOT)
    async def snapshot(self, request: After, call: Call) -> VmRows:
        return await self.list_vms(request, call)

    @handles(store.VM_CHECK)
    async def check(self, request: VmClaim, _call: Call) -> None:
        own = self._made.get(request.request_id, request.id)
        if request.name:
            self._refuse_name(request.name, own)
        there = self.vms[own].publish if own in self.vms else []
        self._refuse_ports([*there, *(each for each in request.publish if each not in there)], own)

    @handles(store.VM_RESERVE)
    async def reserve(self, request: VmReserve, _call: Call) -> Vm:
        if (made := self._made.get(request.request_id)) in self.vms:
            return self.vms[made]
        self._refuse_ports(request.publish, "")
        used = {vm.name for vm in self.vms.values()}
        name = next((name for name in request.names if name not in used), None)
        if name is None:
            raise BangerError(Code.CONFLICT, "all names are taken")
        vm = Vm(
            id=request.id,
            name=name,
            state=request.state,
            network=request.network,
            address=self._free_address(request),
            created_at="2026-11-22T00:00:00Z",
            touched_at=request.touched_at,
            **_fields(request),
        )
        self._made[request.request_id] = vm.id
        return self._changed(vm)

    @handles(store.VM_CLAIM)
    async def claim(self, request: PoolClaim, _call: Call) -> Vm:
        if (made := self._made.get(request.request_id)) in self.vms:
            return self.vms[made]
        wanted = ("pool", request.template, "paused", request.network)
        pool = [
            vm for vm in self.vms.values()
            if (vm.keeper, vm.template, vm.state, vm.network) == wanted
        ]  # fmt: skip
        if not pool:
            raise BangerError(Code.NOT_FOUND, "the pool has no VM")
        self._refuse_ports(request.publish, pool[0].id)
        used = {vm.name for vm in self.vms.values()}
        name = next((name for name in request.names if name not in used), None)
        if name is None:
            raise BangerError(Code.CONFLICT, "all names are taken")
        own = _fields(request) | {"keeper": "", "from_pool": True}
        vm = replace(
            pool[0], name=name, state="running", reason="", touched_at=request.touched_at, **own
        )
        self._made[request.request_id] = vm.id
        return self._changed(vm)

    @handles(store.VM_UPDATE)
    async def update(self, request: VmUpdate, _call: Call) -> Vm:
        vm = self.vms.get(request.id)
        if vm is None:
            raise BangerError(Code.NOT_FOUND, f"there is no VM {request.id}")
        if request.expected and vm.state not in request.expected:
            raise BangerError(Code.CONFLICT, f"{vm.name} is {vm.state}")
        if request.keeper not in (None, vm.keeper):
            raise BangerError(Code.CONFLICT, f"{vm.name} has got a user")
        if request.name is not None:
            self._refuse_name(request.name, vm.id)
            vm = replace(vm, name=request.name)
        if request.spec is not None:
            self._refuse_ports(request.spec.publish, vm.id)
            vm = replace(vm, **_fields(request.spec) | {"workspaces": vm.workspaces})
        if request.state is not None:
            vm = replace(vm, wakes=request.wakes)
        return self._changed(_in_state(vm, request.state, request.reason))

    @handles(store.VM_TRANSITION)
    async def transition(self, request: VmTransition, call: Call) -> Transition:
        vm = await self.get(VmRef(ref=request.ref), call)
        if vm.state not in request.expected:
            return Transition(vm=vm, before=vm.state)
        vm, before = replace(vm, wakes=False), vm.state
        return Transition(vm=self._changed(_in_state(vm, request.state, "")), before=before)

    @handles(store.VM_WORKSPACE)
    async def place(self, request: VmWorkspace, _call: Call) -> Vm:
        vm = find("VM", by_id(request.id), self.vms.values())
        vm = replace(vm, workspaces=with_workspace(vm, request.workspace))
        self.vms[vm.id] = vm
        return vm

    @handles(store.VM_TOUCH)
    async def touch(self, request: VmTouch, _call: Call) -> None:
        if vm := self.vms.get(request.id):
            self.vms[vm.id] = replace(vm, touched_at=request.at)

    @handles(store.VM_REMOVE)
    async def remove(self, request: VmId, _call: Call) -> None:
        if self.vms.pop(request.id, None):
            self.seq += 1

    def _changed(self, vm: Vm) -> Vm:
        self.vms[vm.id] = vm
        self.seq += 1
        return vm

    def _refuse_name(self, name: str, own: str) -> None:
        if any(vm.name == name and vm.id != own for vm in self.vms.values()):
            raise BangerError(Code.CONFLICT, f"a VM named {name!r} already exists")

    def _refuse_ports(self, wanted: list[Publication], own: str) -> None:
        if any(clash(one, other) for one, other in combinations(wanted, 2)):
            raise BangerError(Code.CONFLICT, "it is published", details={"vm": own})
        for vm in self.vms.values():
            if vm.id != own and any(clash(one, other) for one in wanted for other in vm.publish):
                raise BangerError(Code.CONFLICT, "it is published", details={"vm": vm.name})

    def _free_address(self, request: VmReserve) -> str:
        used = {vm.address for vm in self.vms.values() if vm.network == request.network}
        block = IPv4Network(request.subnet)
        addresses = (str(block[number - int(block[0])]) for number in guest_addresses(block))
        for address in addresses:
            if address not in used:
                return address
        raise BangerError(Code.CONFLICT, f"no free address is left in {block}")


def _fields(spec: VmSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in VmSpec.__struct_fields__}


def _in_state(vm: Vm, state: State | None, reason: str | None) -> Vm:
    vm = vm if state is None else replace(vm, state=state)
    return vm if reason is None else replace(vm, reason=reason)
