"""``vm.fork``, and its part of ``vm.create`` with ``from_vm``: VMs that begin as copies of another.

They are copied from a saved machine: a snapshot, or one that is made for the request and removed at
its end. A copy counts as a VM once it has its disks.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from services.api.context import ApiContext
from services.api.creation.give_back import require_room
from services.api.creation.reservation import reservation, reserve, undo
from services.api.machines.copy_turns import CopyTurns
from services.api.machines.disk_use import allocated, occupied
from services.api.machines.snapshots import find_snapshot
from services.api.policy.choice import AT_REST, chosen
from services.api.policy.copy_room import (
    require_copies,
    require_processors,
    starts_at_once,
    usable_processors,
)
from services.api.policy.network_policy import first_free_port, publications_in
from services.api.verbs.operations import under_way
from services.api.verbs.snapshots import sizes_of
from shared.bus.handlers import Call, handles
from shared.contract.labels import merged
from shared.contract.lifecycle import LIVE, Action, check
from shared.contract.messages.machine import MachineState
from shared.contract.messages.snapshot import Fork, Forked, VmFork
from shared.contract.messages.vm import NetworkMode, Vm, VmSpec
from shared.contract.messages.vm_request import VmCreate
from shared.contract.names import ID_LENGTHS, check_name
from shared.contract.verbs import api, store, supervisor
from shared.errors import BangerError, Code
from shared.vm import files
from shared.vm.publish_saved import discard
from shared.vm.saved import SavedMachine, read_saved

FREE_NUMBERS = 300
"""The names VM-1, VM-2, … below this number are tried for a copy without a name."""
LONGEST_BASE = 58
"""Characters of a VM's name that are used in front of such a number."""


@dataclass(frozen=True)
class Origin:
    """What VMs are copied from: ``saved`` in ``directory``, which was saved from ``vm``. ``words``:
    the value of ``VmSpec.origin``."""

    vm: Vm
    directory: Path
    saved: SavedMachine
    words: str

    @property
    def has_memory(self) -> bool:
        return self.saved.memory is not None

    def spec(self, **own: Any) -> dict[str, Any]:
        """The fields of ``VmSpec`` of a copy. ``own``: fields that differ from those of ``vm``."""
        fields = {name: getattr(self.vm, name) for name in VmSpec.__struct_fields__}
        alone = {"publish": [], "labels": {}, "lease": "", "origin": self.words}
        return fields | alone | {"template": "", "from_pool": False} | sizes_of(self.saved) | own


_WORDS = {
    "vcpu": "number of processors",
    "memory_mib": "memory",
    "disk_bytes": "disk size",
    "overlay_bytes": "overlay size",
    "vmm": "VMM",
}
"""The fields of ``AT_REST``, for people."""


@asynccontextmanager
async def origin_of(
    context: ApiContext, ref: str, snapshot: str, count: int, call: Call
) -> AsyncIterator[Origin]:
    """The origin of ``count`` copies of the VM ``ref``, or of its ``snapshot`` unless that is "".

    Inside, the origin exists. Room for all copies is checked before it is yielded.

    Raises:
        BangerError: ``no_space``, as ``read_saved`` for a snapshot, and as in the table of states.
    """
    vm = await context.find(ref)
    state = context.paths.vm_state(vm.id)
    if snapshot:
        directory = find_snapshot(vm, state, snapshot)
        with context.snapshot_holds.held(vm.id, snapshot):
            saved = await asyncio.to_thread(read_saved, directory)
            if saved.memory is not None:
                require_processors(count, usable_processors())
            await _require_room(context, directory, saved, count)
            yield Origin(vm, directory, saved, f"snapshot {vm.name}/{snapshot}")
        return
    directory = state / files.FORKS / f"{call.request_id}-{secrets.token_hex(4)}"
    try:
        async with context.exclusively(vm) as vm:
            check(vm.name, vm.state, Action.FORK)
            if vm.state in LIVE or vm.state == "suspended":
                require_processors(count, usable_processors())
            disks = sum(allocated(state / name) for name in (files.OVERLAY, files.WORK_DISK))
            require_copies(state, 1, disks, 0)
            await context.machines.save(vm, directory, call)
        saved = await asyncio.to_thread(read_saved, directory, check=False)
        await _require_room(context, directory, saved, count)
        yield Origin(vm, directory, saved, f"fork of {vm.name}")
    finally:
        await context.completed(asyncio.to_thread(discard, directory))


async def _require_room(
    context: ApiContext, directory: Path, saved: SavedMachine, count: int
) -> None:
    def check() -> None:
        memory = allocated(directory / files.MEMORY)
        disk = 0 if saved.copied == "reflink" else occupied(directory) - memory
        require_copies(context.paths.state, count, disk, memory)

    await require_room(context, check)


async def bring_up(
    context: ApiContext, vm: Vm, origin: Origin, call: Call, *, starts: bool, is_new: bool = False
) -> MachineState:
    """Give the new row ``vm`` its copy of ``origin``, and start it if ``starts``. Without
    ``starts`` it is suspended, or stopped if ``origin`` has no memory."""
    if starts:
        saved = str(origin.directory)
        return await context.machines.boot(vm, call, is_new=is_new, saved=saved)
    request = supervisor.RESTORE(directory=str(origin.directory))
    return await context.machines.have_done(vm, request, call)


def refuse_snapshot_alone(request: VmCreate) -> None:
    """Raises ``invalid`` for ``from_snapshot`` without ``from_vm``."""
    if request.from_snapshot:
        raise BangerError(
            Code.INVALID, "from_snapshot needs the VM of the snapshot: from_vm is missing"
        )


def chosen_of_copy(request: VmCreate, origin: Origin, mode: NetworkMode) -> dict[str, Any]:
    """The fields of ``VmSpec`` that a copy does not take from its origin. Pure.

    Raises:
        BangerError: ``invalid`` for a field that a copy cannot choose, and as ``chosen``.
    """
    if request.image:
        raise BangerError(
            Code.INVALID,
            f"a copy of {origin.vm.name} uses its image, and cannot have another one",
            hint="leave the image out",
        )
    given = chosen(request, mode, replace(origin.vm, labels={}, **sizes_of(origin.saved)))
    if origin.has_memory:
        refuse_fixed(request)
    publish = publications_in(mode, request.publish, first_free_port())
    return given | {"publish": publish, "lease": request.lease}


def refuse_fixed(request: VmCreate) -> None:
    """Raises ``invalid`` for what a copy with memory cannot choose."""
    if fixed := [name for name in AT_REST if getattr(request, name) is not None]:
        raise BangerError(
            Code.INVALID,
            "a copy with memory keeps its sizes and its VMM, and cannot have another "
            f"{' or '.join(_WORDS[name] for name in fixed)}",
            hint="leave that out, or copy a stopped VM or a snapshot without memory",
        )


class ForkVerbs:
    """Makes all copies of a request, or none."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    @handles(api.VM_FORK)
    async def fork(self, request: VmFork, call: Call) -> Forked:
        context = self._context
        source = await context.find(request.ref)
        async with under_way(context.operations, call, "vm.fork", source.name):
            await self._refuse_taken(request, call)
            origin_kept = origin_of(context, request.ref, request.snapshot, request.count, call)
            async with origin_kept as origin:
                vms = await self._make_all(request, origin, call)
        forks = [Fork(id=vm.id, name=vm.name, state=vm.state, address=vm.address) for vm in vms]
        pause = 0.0 if request.snapshot else origin.saved.pause_seconds
        return Forked(vms=forks, pause_seconds=pause, copied=origin.saved.copied or "sparse")

    async def _refuse_taken(self, request: VmFork, call: Call) -> None:
        if request.name is None:
            return
        for number, name in enumerate(numbered(request.name, request.count)):
            check_name(name, "a VM")
            own = request_of(call, number)
            await self._context.ask(store.VM_CHECK(name=name, request_id=own))

    async def _make_all(self, request: VmFork, origin: Origin, call: Call) -> list[Vm]:
        """Reserve all VMs, then start them, a few at a time. After an error, remove them all."""
        context, made = self._context, []
        turns = CopyTurns(starts_at_once(usable_processors()))
        labels = merged({}, dict(request.labels))
        try:
            for number in range(request.count):
                vm = await self._reserve(request, number, origin, labels, call)
                made.append(vm)
            async with asyncio.TaskGroup() as group:
                starts = [group.create_task(self._bring_up(vm, origin, turns, call)) for vm in made]
            return [start.result() for start in starts]
        except BaseException as error:
            if not context.stopping.is_set():
                await context.completed(self._undo_all(made))
            if isinstance(error, BaseExceptionGroup):
                raise error.exceptions[0] from None
            raise

    async def _reserve(
        self, request: VmFork, number: int, origin: Origin, labels: dict[str, str], call: Call
    ) -> Vm:
        new_id = secrets.token_hex(ID_LENGTHS["a VM"] // 2)
        if request.name is not None:
            names = [numbered(request.name, request.count)[number]]
        else:
            base = origin.vm.name[:LONGEST_BASE].rstrip("-")
            names = [f"{base}-{free}" for free in range(1, FREE_NUMBERS)]
        spec = origin.spec(labels=labels)
        wanted = reservation(
            self._context,
            new_id,
            names,
            request_of(call, number),
            spec,
            starts=origin.has_memory,
        )
        return await reserve(self._context, wanted)

    async def _bring_up(self, vm: Vm, origin: Origin, turns: CopyTurns, call: Call) -> Vm:
        context = self._context
        with context.machines.expected(vm.id):
            async with turns.taken(), context.machines.serialised(vm.id):
                call.progress("fork", f"starting {vm.name}")
                told = await bring_up(context, vm, origin, call, starts=origin.has_memory)
        return replace(vm, state=told.state, reason=told.reason)

    async def _undo_all(self, made: list[Vm]) -> None:
        await asyncio.gather(*(undo(self._context, vm) for vm in made))


def numbered(name: str, count: int) -> list[str]:
    """The names of ``count`` forks. Pure."""
    return [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]


def request_of(call: Call, number: int) -> str:
    """The request id under which the store knows fork ``number`` of ``call``."""
    return f"{call.request_id}-{number}"
