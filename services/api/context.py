"""What the groups of verbs share."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec.structs import replace

from services.api.machines.control import Machines
from services.api.machines.corrections import Corrections, all_rows
from services.api.machines.idleness import Idleness
from services.api.machines.image_configs import ImageConfigs
from services.api.machines.kept import KeptVms
from services.api.machines.spare_supervisor import Spare, Spawn
from services.api.machines.supervisors import Supervisors
from services.api.machines.vm_view import view, vmm_of, with_live_state
from services.api.operations import Operations
from services.api.policy.holds import BootHolds
from services.api.policy.leased import LeasedVms
from services.api.policy.moved_heads import MovedHeads
from services.api.policy.snapshot_rules import SnapshotHolds
from services.api.templates.templates import Templates
from services.api.templates.warm_pool import WarmPool
from shared.bus.ask import Ask
from shared.bus.handlers import Call
from shared.config import Config
from shared.contract.lifecycle import LIVE, Action, check
from shared.contract.messages.vm import Vm, VmView
from shared.contract.reference import by_id
from shared.contract.verbs import nat, store
from shared.errors import BangerError, Code
from shared.logs import Log, now_rfc3339
from shared.paths import Paths

T = TypeVar("T")


def is_asleep(vm: Vm) -> bool:
    """Whether the VM comes back when somebody uses it, or is about to."""
    return vm.wakes and vm.state in ("suspended", "starting")


@dataclass
class ApiContext:
    """The other services, the running VMs, and the operations under way."""

    paths: Paths
    log: Log
    config: Config
    ask: Ask
    spawn: Spawn
    stopping: asyncio.Event
    """Set when this api stops. What is cancelled then is not undone: callers ask the next api."""
    spare: Spare
    corrections: Corrections = field(init=False)
    supervisors: Supervisors = field(init=False)
    machines: Machines = field(init=False)
    kept: KeptVms = field(init=False)
    templates: Templates = field(init=False)
    pool: WarmPool = field(init=False)
    image_configs: ImageConfigs = field(init=False)
    operations: Operations = field(default_factory=Operations)
    image_holds: BootHolds = field(default_factory=lambda: BootHolds("image"))
    leased: LeasedVms = field(default_factory=LeasedVms)
    being_deleted: set[str] = field(default_factory=set)
    """Ids of VMs whose deletion has begun, and whose rows may still be there."""
    moved_heads: MovedHeads = field(default_factory=MovedHeads)
    snapshot_holds: SnapshotHolds = field(default_factory=SnapshotHolds)
    kernel_holds: BootHolds = field(default_factory=lambda: BootHolds("kernel"))
    limits_changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a VM may have got another idle limit."""
    falling_asleep: set[str] = field(default_factory=set)
    """Ids of VMs that are being suspended because nobody uses them."""
    at_work: dict[str, list[str]] = field(default_factory=dict)
    """VM id -> verbs that are at the VM and are no operations."""
    idleness: Idleness = field(init=False)

    def __post_init__(self) -> None:
        self.idleness = Idleness(self.config.idle_cpu)
        self.corrections = Corrections(self.ask, self.paths, self.log)
        self.supervisors = Supervisors(
            self.paths, self.log, self.corrections, self.spawn, self.spare
        )
        self.image_configs = ImageConfigs(self.ask)
        self.machines = Machines(self.ask, self.paths, self.log, self.supervisors, self.corrections)
        self.templates = Templates(self.paths, self.config, self.log)
        self.pool = WarmPool(self.config.warm_pool)
        self.kept = KeptVms(self.ask, self.paths, self.log, self.machines)

    # -- rows and what is true of them ------------------------------------------------------

    async def find(self, ref: str) -> Vm:
        """The VM that a user's reference means, with its live state. Raises as ``find_id``."""
        return self.live(await self.ask(store.VM_GET(ref=ref)))

    async def reach(self, ref: str, call: Call) -> VmView:
        """A VM whose guest answers; ``access`` is there. One that is asleep wakes for it. Raises
        ``not_running`` for any other."""
        shown = self.view(await self.awake(await self.ask(store.VM_GET(ref=ref)), call))
        vm = shown.vm
        if shown.access is None or vm.state in ("paused", "stopping"):
            check(vm.name, vm.state, Action.SESSION)
            raise BangerError(
                Code.NOT_RUNNING,
                f"{vm.name} does not answer yet",
                hint=f"for details: banger vm health {vm.name}",
            )
        return shown

    async def awake(self, vm: Vm, call: Call) -> Vm:
        """The VM for somebody who is about to use it: one that is asleep, or about to be, is
        brought back. A caller that is cancelled leaves it on its way. Raises what its supervisor
        says."""
        if vm.id in self.falling_asleep:
            async with self.machines.serialised(vm.id):
                vm = await self.find(by_id(vm.id))
        if not is_asleep(vm):
            return vm
        async with self.exclusively(vm) as vm:
            if is_asleep(vm):
                call.progress("resume", f"{vm.name} was asleep")
                self.spawn(self.touch(vm.id))
                await self.completed(self.machines.boot(vm, call))
        return await self.find(by_id(vm.id))

    @contextmanager
    def working(self, vm: Vm, verb: str) -> Iterator[None]:
        """Inside, the VM is in use by a verb that is no operation."""
        at_work = self.at_work.setdefault(vm.id, [])
        at_work.append(verb)
        try:
            yield
        finally:
            at_work.remove(verb)
            if not at_work:
                self.at_work.pop(vm.id, None)

    async def rows(self) -> list[Vm]:
        """All VMs of users with their live states."""
        return [self.live(vm) for vm in await all_rows(self.ask) if not vm.keeper]

    @asynccontextmanager
    async def exclusively(self, vm: Vm) -> AsyncIterator[Vm]:
        """Inside, no other verb starts, changes or removes the VM. Gives its row, read again if
        another verb was at it."""
        lock = self.machines.serialised(vm.id)
        waits = lock.locked()
        async with lock:
            yield await self.find(by_id(vm.id)) if waits else vm

    def live(self, vm: Vm) -> Vm:
        """The row with its live state."""
        return with_live_state(vm, self.paths, supervised=self.machines.supervised(vm.id))

    def runs(self, vm_id: str) -> bool:
        """Whether the VM has a supervisor, or a VMM without one."""
        return self.machines.supervised(vm_id) or vmm_of(vm_id, self.paths) is not None

    def view(self, vm: Vm) -> VmView:
        """What users are shown of a VM."""
        return view(vm, self.paths, supervised=self.machines.supervised(vm.id))

    async def completed(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work``, from which there is no way back, to its end: a caller that is cancelled
        gets its result. Only when this api stops, it is left."""
        task = asyncio.ensure_future(work)
        while True:
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                if task.cancelled() or self.stopping.is_set():
                    task.cancel()
                    raise

    async def end_lease(self, vm: Vm) -> Vm:
        """Let the VM outlive the command that made it; the row as it is then."""
        if vm.lease:
            vm = self.live(await self.ask(store.VM_UPDATE(id=vm.id, spec=replace(vm, lease=""))))
        self.leased.discard(vm.id)
        return vm

    # -- what other services are told --------------------------------------------------------

    async def touch(self, vm_id: str) -> None:
        """Note that somebody uses the VM now; a failure is logged."""
        try:
            await self.ask(store.VM_TOUCH(id=vm_id, at=now_rfc3339()))
        except BangerError as error:
            self.log.warning("use not noted", vm=vm_id, error=error.message)

    async def apply_network(self, vm: Vm) -> None:
        """Bridge mode: return when the host's rules are those of the row as it is stored now.

        Raises:
            BangerError: nat's own; the row is what will be, as soon as nat can.
        """
        if vm.network != "bridge" or vm.state not in LIVE:
            return
        try:
            await self.ask(nat.APPLY(id=vm.id))
        except BangerError as error:
            stored = "the change is stored, and takes effect when the nat service can apply it"
            error.hint = "; ".join(filter(None, (stored, error.hint)))
            raise
