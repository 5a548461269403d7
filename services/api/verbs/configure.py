"""Verbs that change what is wanted of a VM: set."""

from typing import Any

from msgspec.structs import replace

from services.api.context import ApiContext
from services.api.policy.choice import AT_REST, chosen
from services.api.policy.sizing import check_sizes
from shared.bus.handlers import Call, handles
from shared.contract.lifecycle import Action, check
from shared.contract.messages.vm import Vm, VmSet, VmView
from shared.contract.sizes import host
from shared.contract.verbs import api, store


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
            if "nat" in given:
                await self._apply_egress(vm, call)
        return context.view(vm)

    async def _apply_egress(self, vm: Vm, call: Call) -> None:
        """Also when the row was so already: the process that wrote it may have died before it told
        the supervisor."""
        await self._context.apply_network(vm)
        if vm.network == "user":
            await self._context.machines.apply_until_over(vm, call)


def _check_at_rest(vm: Vm, given: dict[str, Any]) -> None:
    """Raises ``conflict`` for what a VM that runs cannot be given, ``invalid`` for bad sizes."""
    if not any(name in given for name in AT_REST):
        return
    check(vm.name, vm.state, Action.RESIZE)
    # The disk itself grows at the next start: its supervisor knows how, and it is stopped.
    disk = given.get("disk_bytes")
    check_sizes(host(), vcpu=given.get("vcpu"), memory=given.get("memory_mib"), disk=disk)
