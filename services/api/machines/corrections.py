"""Corrects the rows of VMs whose supervisor, or whose api, died before it stored a change."""

from collections.abc import Callable

from services.api.machines.removal import remove
from shared.bus.ask import Ask
from shared.bus.paging import pages
from shared.contract.lifecycle import LIVE
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.rows import VmUpdate
from shared.contract.messages.vm import Vm
from shared.contract.reference import by_id
from shared.contract.verbs import store, supervisor
from shared.errors import BangerError, Code
from shared.host.retry import RetryWindow, retry
from shared.logs import Log
from shared.paths import Paths
from shared.vm import files
from shared.vm.asleep import read_asleep
from shared.vm.at_rest import state_at_rest

STORE_TROUBLES = (Code.UNAVAILABLE, Code.TIMEOUT, Code.BUSY, Code.NO_SPACE)
"""They pass by themselves, or an administrator ends them: the store is asked again."""
STORE_INTERVAL = 0.1
"""Seconds between attempts to store something."""
LOST_SECONDS = 30.0
"""How long a supervisor that is not there is asked again: it or the broker was killed."""


class Corrections:
    """Writes to the store, however long the store is away or its disk is full."""

    def __init__(self, ask: Ask, paths: Paths, log: Log) -> None:
        self._ask = ask
        self._paths = paths
        self._log = log
        self.being_made: set[str] = set()
        """Ids of VMs that a verb of this api is making: nobody else has to clear up after it."""

    async def rows(self) -> list[Vm]:
        """All rows, as soon as the store serves: all services start at the same time."""
        return await retry(lambda: all_rows(self._ask), _window())

    async def row(self, vm_id: str) -> Vm:
        """The row, as soon as the store serves. Raises ``not_found``."""
        return await retry(lambda: self._ask(store.VM_GET(ref=by_id(vm_id))), _window())

    # -- for ``Supervisors`` ------------------------------------------------------------------

    async def spec_of(self, vm_id: str) -> SupervisorSpec:
        """What the VM's supervisor is handed. Raises ``not_found``."""
        return self.supervisor_spec(await self.row(vm_id))

    def supervisor_spec(
        self, vm: Vm, *, is_new: bool = False, saved: str = "", checked: bool = False
    ) -> SupervisorSpec:
        """``is_new``: the VM was made a moment ago and has had no supervisor yet. ``saved``: what
        it is a copy of, which is ``checked``."""
        image, kernel = self._paths.images / vm.image_id, self._paths.kernels / vm.kernel_id
        return SupervisorSpec(
            vm=vm,
            image=str(image),
            kernel=str(kernel),
            ran_before=not is_new,
            saved=saved,
            checked=checked,
        )

    async def vm_ended(self, vm_id: str, reason: str, holds: Callable[[], bool]) -> None:
        """Nothing of this VM runs: correct a row that says otherwise. A VM that is of no use then
        is removed."""
        if await self._removed_useless(vm_id, holds):
            return
        state = state_at_rest(self._paths.vm_state(vm_id))
        asleep = read_asleep(self._paths.vm_state(vm_id))
        if state == "suspended":
            reason = asleep.reason if asleep else ""
        update = VmUpdate(
            id=vm_id, state=state, reason=reason, wakes=asleep is not None, expected=list(LIVE)
        )
        await self._store_while(holds, update)

    async def _removed_useless(self, vm_id: str, holds: Callable[[], bool]) -> bool:
        """A VM that services keep is of use only while it runs. A copy of another VM that was
        broken off before it had disks would boot empty."""
        try:
            vm = await self.row(vm_id)
        except BangerError:
            return False
        if vm_id in self.being_made:
            return False
        has_disks = (self._paths.vm_state(vm_id) / files.OVERLAY).exists()
        was_broken_off = vm.origin and not has_disks
        if not (vm.keeper or was_broken_off) or not holds():
            return False
        what = "a VM that was kept has ended" if vm.keeper else "a copy was broken off"
        self._log.info(f"{what}, it is removed", vm=vm_id, name=vm.name)
        for problem in await remove(vm, self._ask, self._paths):
            self._log.error("not removed", vm=vm_id, problem=str(problem))
        return True

    async def supervisor_given_up(self, vm_id: str, reason: str, holds: Callable[[], bool]) -> None:
        """The VMM runs on, and nobody supervises it."""
        self._log.error("supervisor given up", vm=vm_id, reason=reason)
        await self._store_while(holds, VmUpdate(id=vm_id, state="failed", reason=reason))

    # -- stops ------------------------------------------------------------------------------

    async def stop_not_heard(self, ref: str) -> None:
        """``stopping`` was stored, but the supervisor may not have heard of the stop: store the
        state that it reports."""
        try:
            vm = await retry(lambda: self._ask(store.VM_GET(ref=ref)), _window())
            if vm.state != "stopping":
                return
            state = supervisor.STATE().at(vm.id)
            told = await retry(lambda: self._ask(state), RetryWindow(LOST_SECONDS))
        except BangerError as error:
            # The VM is deleted, or its next supervisor will store its state.
            self._log.info("no word about a stop", ref=ref, error=error.message)
            return
        if told.state in LIVE and told.state != "stopping":
            update = VmUpdate(id=vm.id, state=told.state, expected=["stopping"])
            await self._store_while(lambda: True, update)

    async def _store_while(self, holds: Callable[[], bool], update: VmUpdate) -> None:
        """Try until the update is stored, as long as ``holds``."""
        window = _window()
        while holds():
            try:
                await self._ask(store.VM_UPDATE.of(update))
                return
            except BangerError as error:
                if error.code in (Code.NOT_FOUND, Code.CONFLICT):
                    return  # the VM is deleted, or in another state by now
                self._log.warning("row not corrected", vm=update.id, error=error.message)
                try:
                    await window.wait_or_raise(error)
                except BangerError:
                    return


async def all_rows(ask: Ask) -> list[Vm]:
    """All rows, oldest first."""
    read = pages(lambda after: ask(store.VM_LIST(after=after)))
    return [vm async for page in read for vm in page.vms]


def _window() -> RetryWindow:
    return RetryWindow(codes=STORE_TROUBLES, pause=STORE_INTERVAL)
