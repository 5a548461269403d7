"""Which VMs are to live only as long as the command that made them."""

import asyncio

from shared.contract.messages.vm import Vm


class LeasedVms:
    """VM id → lease. Nobody waits for a look while there is none."""

    def __init__(self) -> None:
        self.leases: dict[str, str] = {}
        self.deleted: set[str] = set()
        """Of these, the VMs that have been deleted: their leases remain until they are released."""
        self._some = asyncio.Event()

    def add(self, vm: Vm) -> None:
        """``vm`` is leased if its row says so."""
        if vm.lease:
            self.leases[vm.id] = vm.lease
            self._some.set()

    def note_deleted(self, vm_id: str) -> None:
        if vm_id in self.leases:
            self.deleted.add(vm_id)

    def discard(self, vm_id: str) -> None:
        self.leases.pop(vm_id, None)
        self.deleted.discard(vm_id)
        if not self.leases:
            self._some.clear()

    async def some(self) -> None:
        """Return when there is one."""
        await self._some.wait()
