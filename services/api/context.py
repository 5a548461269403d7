"""What every verb of the api stands on: rows, the truth about them, supervisors, operations."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services.api.machines.control import Machines, supervisor_spec
from services.api.machines.supervisors import Supervisors
from services.api.operations import Operations
from services.api.policy.holds import BootHolds
from services.api.vm_view import checked
from shared.bus.actor import Actor
from shared.bus.handlers import Call
from shared.config import Config
from shared.contract.lifecycle import LIVE
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.operation import Operation
from shared.contract.messages.vm import Vm, VmUpdate
from shared.contract.verbs import nat, store
from shared.errors import BangerError, Code
from shared.logs import Log, now_rfc3339
from shared.paths import Paths

STORE_TROUBLES = (Code.UNAVAILABLE, Code.TIMEOUT, Code.BUSY, Code.NO_SPACE)
"""They end by themselves or by somebody's hand: it is asked again."""
AGAIN = 0.1
"""Seconds between such attempts."""


class ApiBase(Actor):
    """Questions about VMs, and the corrections that crashes make necessary."""

    def __init__(self, paths: Paths, log: Log, config: Config) -> None:
        super().__init__("api", paths, log)
        self._config = config
        self._operations = Operations()
        self._supervisors = Supervisors(
            paths,
            log,
            spec_of=self._spec_of,
            on_end=self._supervisor_ended,
            give_up=self._supervisor_lost,
            keep=self.background.keep,
        )
        self._machines = Machines(self, self._supervisors)
        self._image_holds = BootHolds("image")
        self._kernel_holds = BootHolds("kernel")
        self._publishing = asyncio.Lock()
        """Held from looking whether a port of the host is published until it is in a row, and not
        while a machine is asked, which may not answer."""

    # -- operations -------------------------------------------------------------------------

    @asynccontextmanager
    async def _operation(self, call: Call, verb: str, subject: str) -> AsyncIterator[Operation]:
        """Make what is inside an operation that can be looked up and cancelled."""
        operation = Operation(
            id=call.request_id,
            verb=verb,
            subject=subject,
            state="running",
            started_at=now_rfc3339(),
        )
        task = asyncio.current_task()
        assert task, "verbs run as tasks"
        self._operations.begin(operation, task.cancel)
        call.on_progress = lambda stage, message: self._operations.progress(
            operation.id, stage, message
        )
        error: BangerError | None = None
        try:
            yield operation
        except BangerError as failure:
            error = failure
            raise
        except asyncio.CancelledError:  # the deadline ends it in this way, too
            late = time.monotonic() >= call.deadline
            code, what = (
                (Code.TIMEOUT, "not done in time") if late else (Code.CANCELLED, "cancelled")
            )
            error = BangerError(code, f"{verb} {operation.subject} was {what}")
            raise
        except Exception as bug:
            error = BangerError(Code.INTERNAL, f"{type(bug).__name__}: {bug}")
            raise
        finally:
            self._operations.end(operation.id, error, now_rfc3339(), time.monotonic())
            self._operations.prune(time.monotonic())

    # -- what is true -----------------------------------------------------------------------

    async def _apply_network(self, vm: Vm) -> None:
        """Bridge mode: return when the host's rules are those of the row as it is stored now.

        Raises:
            BangerError: nat's own; the row is what will be, as soon as nat can.
        """
        if vm.network != "bridge" or vm.state not in LIVE:
            return
        try:
            await self.ask(nat.APPLY())
        except BangerError as error:
            stored = "it is stored, and holds as soon as nat can do it"
            error.hint = "; ".join(filter(None, (stored, error.hint)))
            raise

    async def _raw_rows(self) -> list[Vm]:
        return (await self.ask(store.VM_LIST())).vms

    async def _rows_when_there(self) -> list[Vm]:
        """The store may still be starting: every service starts at the same time."""
        while True:
            try:
                return await self._raw_rows()
            except BangerError as error:
                if error.code not in STORE_TROUBLES:
                    raise
                await asyncio.sleep(AGAIN)

    async def _rows(self) -> list[Vm]:
        knows = self._supervisors.knows
        rows = await self._raw_rows()
        return [checked(vm, self.paths, supervised=knows(vm.id)) for vm in rows]

    async def _find(self, ref: str) -> Vm:
        vm = await self.ask(store.VM_GET(ref=ref))
        return checked(vm, self.paths, supervised=self._supervisors.knows(vm.id))

    # -- supervisors ------------------------------------------------------------------------

    async def _spec_of(self, vm_id: str) -> SupervisorSpec:
        """Raises ``not_found`` for a VM that was deleted."""
        for vm in await self._rows_when_there():
            if vm.id == vm_id:
                return supervisor_spec(vm, self.paths)
        raise BangerError(Code.NOT_FOUND, f"there is no VM {vm_id}")

    async def _supervisor_ended(self, vm_id: str) -> None:
        for vm in await self._rows_when_there():
            if vm.id == vm_id:
                await self._correct(vm, "its supervisor and its VMM ended")

    async def _correct(self, vm: Vm, reason: str) -> None:
        """Nothing of this VM runs; a row that says otherwise is set right, unless the VM is
        started meanwhile."""
        if vm.state in LIVE:
            update = VmUpdate(id=vm.id, state="stopped", reason=reason, expected=list(LIVE))
            await self._store_while(lambda: not self._supervisors.knows(vm.id), update)

    async def _supervisor_lost(self, vm_id: str, reason: str) -> None:
        self.log.error("supervisor given up", vm=vm_id, reason=reason)
        update = VmUpdate(id=vm_id, state="failed", reason=reason)
        await self._store_while(lambda: self._supervisors.has_given_up(vm_id), update)

    async def _store_while(self, holds: Callable[[], bool], update: VmUpdate) -> None:
        """Try until it is stored, however long the store is away or its disk full, as long as
        it holds."""
        while holds():
            try:
                await self.ask(store.VM_UPDATE.of(update))
                return
            except BangerError as error:
                self.log.warning("row not corrected", vm=update.id, error=error.message)
                if error.code not in STORE_TROUBLES:
                    return  # the VM is deleted, or in another state by now
                await asyncio.sleep(AGAIN)
