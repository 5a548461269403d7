"""VMs that the services keep: to save them as templates, or to have them ready for the next user.

Nobody has asked for them, so nobody would miss or delete them: they are deleted here, all of them
when the services are stopped.
"""

import asyncio
from collections.abc import Callable

from services.api.machines.control import Machines
from services.api.machines.corrections import all_rows
from services.api.machines.removal import remove
from shared.bus.ask import Ask
from shared.contract.messages.vm import Vm
from shared.contract.verbs import store
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.paths import Paths


class KeptVms:
    """Those that there are. ``closed``: no more are to be made."""

    def __init__(self, ask: Ask, paths: Paths, log: Log, machines: Machines) -> None:
        self._ask = ask
        self._paths = paths
        self._log = log
        self._machines = machines
        self.closed = False

    async def delete(self, vm: Vm) -> None:
        """End and remove one, unless a user has got it; what goes wrong is logged."""
        try:
            await self._ask(store.VM_UPDATE(id=vm.id, state="stopping", keeper=vm.keeper))
        except BangerError as error:
            if error.code not in (Code.CONFLICT, Code.NOT_FOUND):
                self._log.error("kept VM not deleted", vm=vm.id, problem=str(error))
            return
        try:
            await self._machines.end(vm, forget=True)
            async with self._machines.serialised(vm.id):
                problems = [str(each) for each in await remove(vm, self._ask, self._paths)]
        except BangerError as error:
            problems = [str(error)]
        for words in problems:
            self._log.error("kept VM not deleted", vm=vm.id, problem=words)
        self._machines.forget(vm.id)

    async def delete_all(self, which: Callable[[Vm], bool] = lambda _: True) -> None:
        """Delete those of which ``which`` is true.

        Raises:
            BangerError: as the store does.
        """
        kept = [vm for vm in await all_rows(self._ask) if vm.keeper and which(vm)]
        await asyncio.gather(*(self.delete(vm) for vm in kept))

    async def close(self) -> None:
        """Delete all of them: the services are about to stop. Raises as ``delete_all``."""
        self.closed = True
        await self.delete_all()
