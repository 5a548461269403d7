"""Verbs about ports of the host that lead to VMs: publish, unpublish."""

from msgspec.structs import replace

from services.api.context import ApiContext
from services.api.policy.network_policy import first_free_port, publications_in, published_as
from shared.bus.handlers import Call, handles
from shared.contract.messages.vm import Publication, Vm, VmView
from shared.contract.messages.vm_request import VmPublish, VmUnpublish
from shared.contract.publication import check_publications
from shared.contract.verbs import api, store
from shared.errors import BangerError


class PublishVerbs:
    """The VMM first, then the row: a port that cannot be bound is never stored."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    @handles(api.VM_PUBLISH)
    async def publish_ports(self, request: VmPublish, call: Call) -> VmView:
        found = await self._context.find(request.ref)
        async with self._context.exclusively(found) as vm:
            wanted = publications_in(vm.network, request.publish, first_free_port())
            new = [publication for publication in wanted if publication not in vm.publish]
            if new:
                # The store can name the VM that has the port, the supervisor only its process.
                await self._context.ask(store.VM_CHECK(id=vm.id, publish=new))
                check_publications([*vm.publish, *new])
                vm = await self._set_publications(vm, [*vm.publish, *new], call)
        return self._context.view(vm)

    @handles(api.VM_UNPUBLISH)
    async def unpublish_ports(self, request: VmUnpublish, call: Call) -> VmView:
        found = await self._context.find(request.ref)
        async with self._context.exclusively(found) as vm:
            gone = {each for port in request.ports for each in published_as(port, vm)}
            left = [each for each in vm.publish if not request.every and each not in gone]
            if left != vm.publish:
                vm = await self._set_publications(vm, left, call)
        return self._context.view(vm)

    async def _set_publications(self, vm: Vm, publish: list[Publication], call: Call) -> Vm:
        """When the row cannot be stored, the VMM is changed back: meanwhile another VM may have got
        the port."""
        context, wanted = self._context, replace(vm, publish=publish)
        applied = await context.machines.apply(wanted, call)
        try:
            stored = await context.ask(store.VM_UPDATE(id=vm.id, spec=wanted))
        except BangerError:
            if applied:
                await context.machines.apply(vm, call)
            raise
        stored = context.live(stored)
        await context.apply_network(stored)
        return stored
