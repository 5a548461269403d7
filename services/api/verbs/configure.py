"""Verbs that change what is wanted of a VM: set, rename, keep."""

from typing import Any

from msgspec.structs import replace

from services.api.context import ApiContext
from services.api.policy.choice import AT_REST, chosen
from shared.bus.handlers import Call, handles
from shared.contract.egress import parse_allowed
from shared.contract.lifecycle import Action, check
from shared.contract.messages.vm import Vm, VmRef, VmView
from shared.contract.messages.vm_request import VmRename, VmSet
from shared.contract.names import NAMES_CARRIED, check_name, few
from shared.contract.sizes import check_sizes, host
from shared.contract.verbs import api, store
from shared.errors import BangerError, Code
from shared.vm import known_hosts


class ConfigureVerbs:
    """The row first, then the running VM: a crash in between leaves what was asked for."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    @handles(api.VM_SET)
    async def configure(self, request: VmSet, call: Call) -> VmView:
        context = self._context
        async with context.exclusively(await context.find(request.ref)) as vm:
            given = chosen(request, vm.network, vm)
            _check_at_rest(vm, given)
            wanted = replace(vm, **given)
            if wanted != vm:
                vm = context.live(await context.ask(store.VM_UPDATE(id=vm.id, spec=wanted)))
            self._context.limits_changed.set()
            if "nat" in given:
                await self._apply_egress(vm, call)
        return context.view(vm)

    @handles(api.VM_RENAME)
    async def rename(self, request: VmRename, call: Call) -> VmView:
        """The name in DNS follows the row. A rename to the present name does the rest again."""
        context = self._context
        check_name(request.name, "a VM")
        async with context.exclusively(await context.find(request.ref)) as vm:
            _refuse_if_allowed(vm.name, await context.rows())
            renamed = await context.ask(store.VM_UPDATE(id=vm.id, name=request.name))
            known_hosts.rename(context.paths.known_hosts, vm.id, request.name)
            await context.machines.apply_until_over(renamed, call)
        return context.view(renamed)

    @handles(api.VM_KEEP)
    async def keep(self, request: VmRef, _call: Call) -> VmView:
        context = self._context
        async with context.exclusively(await context.find(request.ref)) as vm:
            return context.view(await context.end_lease(vm))

    async def _apply_egress(self, vm: Vm, call: Call) -> None:
        """Also when the row was so already: the process that wrote it may have died before it told
        the supervisor."""
        await self._context.apply_network(vm)
        if vm.network == "user":
            await self._context.machines.apply_until_over(vm, call)


def _refuse_if_allowed(name: str, rows: list[Vm]) -> None:
    """Raises ``conflict`` when an egress list means the VM by its name: it would mean nobody, or
    another VM, afterwards."""
    users = [
        vm.name for vm in rows if any(parse_allowed(each).name == f"{name}.vm" for each in vm.allow)
    ]
    if users:
        raise BangerError(
            Code.CONFLICT,
            f"the egress list of {few(users)} names {name}.vm",
            hint=f"change the list first: banger vm set {users[0]} --egress …",
            details={"vms": users[:NAMES_CARRIED]},
        )


def _check_at_rest(vm: Vm, given: dict[str, Any]) -> None:
    """Raises ``conflict`` for what a VM that runs cannot be given, ``invalid`` for bad sizes."""
    if vm.network == "user" and given.get("nat") and given["allow"] != vm.allow:
        check(vm.name, vm.state, Action.RESIZE)  # the filter is as the VMM was launched with
    if not any(name in given for name in AT_REST):
        return
    check(vm.name, vm.state, Action.RESIZE)
    # The disk itself grows at the next start, in the guest.
    check_sizes(
        capacity=host(),
        vcpu=given.get("vcpu"),
        memory=given.get("memory_mib"),
        disk=given.get("disk_bytes"),
        overlay=given.get("overlay_bytes"),
    )
