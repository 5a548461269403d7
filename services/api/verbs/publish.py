"""Verbs about ports of the host that lead to VMs: publish, unpublish."""

from msgspec.structs import replace

from services.api.policy.network_policy import (
    check_publications,
    first_free_port,
    published_as,
    refuse_taken,
)
from services.api.verbs.lifecycle import Changes
from services.api.vm_view import view
from shared.bus.handlers import Call, handles
from shared.contract.messages.vm import Publication, Vm, VmPublish, VmUnpublish, VmView
from shared.contract.verbs import api, store, supervisor
from shared.errors import BangerError


class Publishing(Changes):
    """The machine first, then the row: what cannot be bound is never stored."""

    @handles(api.VM_PUBLISH)
    async def publish_ports(self, request: VmPublish, call: Call) -> VmView:
        vm = await self._find(request.ref)
        async with self._machines.serialised(vm.id):
            vm = await self._find(vm.id)
            wanted = check_publications(vm.network, request.publish, first_free_port())
            new = [publication for publication in wanted if publication not in vm.publish]
            refuse_taken(new, await self._rows())
            if new:
                await self._set_publications(vm, [*vm.publish, *new], call)
        return view(await self._find(vm.id), self.paths)

    @handles(api.VM_UNPUBLISH)
    async def unpublish_ports(self, request: VmUnpublish, call: Call) -> VmView:
        vm = await self._find(request.ref)
        async with self._machines.serialised(vm.id):
            vm = await self._find(vm.id)
            gone = {each for port in request.ports for each in published_as(port, vm)}
            left = [each for each in vm.publish if not request.every and each not in gone]
            if left != vm.publish:
                await self._set_publications(vm, left, call)
        return view(await self._find(vm.id), self.paths)

    async def _set_publications(self, vm: Vm, wanted: list[Publication], call: Call) -> None:
        """A machine that has changed and could not be stored is changed back."""
        changed = supervisor.APPLY(vm=replace(vm, publish=wanted))
        asked = await self._machines.ask_if_up(vm, changed, call)
        try:
            await self._store_publications(vm, wanted)
        except BangerError:
            if asked:
                await self._machines.ask_if_up(vm, supervisor.APPLY(vm=vm), call)
            raise
        await self._apply_network(vm)

    async def _store_publications(self, vm: Vm, wanted: list[Publication]) -> None:
        """Looks again: while the machine was asked, another VM may have got the port."""
        new = [publication for publication in wanted if publication not in vm.publish]
        async with self._publishing:
            refuse_taken(new, await self._rows())
            await self.ask(store.VM_UPDATE(id=vm.id, publish=wanted))
