"""Deletes VMs whose command is gone: ``vm run --rm``, however its client ended.

The client holds a lock on its lease, a file in the state directory; the kernel releases it with the
process. So nothing has to be sent when it ends, and services that are restarted meanwhile find the
lock held or free (docs/decisions/0026).
"""

import asyncio
from contextlib import suppress

from services.api.context import ApiContext
from shared.contract.reference import by_id
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.host.locks import is_held

LOOK_SECONDS = 1.0
"""Between two looks at the locks, while there are leases."""


class LeaseEnd:
    """Looks at all leases again and again."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    async def run(self) -> None:
        for vm in await self._context.corrections.rows():
            self._context.leased.add(vm)
        while True:
            await self._context.leased.some()
            await self.enforce()
            await asyncio.sleep(LOOK_SECONDS)

    async def enforce(self) -> None:
        """Delete every VM whose lease nobody holds. One that cannot be deleted is tried again."""
        for vm_id, lease in list(self._context.leased.leases.items()):
            path = self._context.paths.leases / lease
            try:
                if is_held(path):
                    continue
                if vm_id not in self._context.leased.deleted:
                    await self._delete(vm_id)
            except (BangerError, OSError) as error:
                self._context.log.warning("leased VM not deleted", vm=vm_id, error=str(error))
                continue
            self._context.leased.discard(vm_id)
            with suppress(OSError):
                path.unlink(missing_ok=True)

    async def _delete(self, vm_id: str) -> None:
        """A creation under way is cancelled first, which undoes it."""
        context = self._context
        try:
            vm = await context.find(by_id(vm_id))
            if not vm.lease:
                return  # it never became ready, and is kept
            context.log.info("its client is gone: deleting", vm=vm_id, name=vm.name)
            for operation in context.operations.list():
                creates = (operation.verb, operation.subject) == ("vm.create", vm.name)
                if creates and operation.state == "running":
                    await context.ask(api.OPS_CANCEL(ref=operation.id))
            await context.ask(api.VM_DELETE(ref=by_id(vm_id)))
        except BangerError as error:
            if error.code is not Code.NOT_FOUND:
                raise
