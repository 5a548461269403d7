"""Verbs about snapshots: create, list, show, restore, delete."""

import asyncio
import time
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from services.api.context import ApiContext
from services.api.machines.loading import obstacles
from services.api.machines.snapshots import (
    find_snapshot,
    snapshot_directory,
    snapshot_names,
    snapshot_of,
)
from services.api.policy.snapshot_rules import (
    last_written,
    losses,
    name_of_time,
    refuse_losses,
)
from services.api.verbs.operations import under_way
from shared.bus.handlers import Call, handles
from shared.bus.paging import cut
from shared.contract.lifecycle import Action, check
from shared.contract.messages.snapshot import (
    MOST_SNAPSHOTS,
    Snapshot,
    SnapshotCreate,
    SnapshotDelete,
    SnapshotFilter,
    SnapshotList,
    SnapshotRef,
    SnapshotRestore,
    SnapshotsDeleted,
)
from shared.contract.messages.vm import Vm, VmView
from shared.contract.names import check_name
from shared.contract.verbs import api, store, supervisor
from shared.errors import BangerError, Code
from shared.vm.publish_saved import discard
from shared.vm.saved import SavedMachine, read_saved


class SnapshotVerbs:
    """A snapshot is a directory in the state of its VM, whose supervisor makes and restores it."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    @handles(api.SNAPSHOT_CREATE)
    async def create(self, request: SnapshotCreate, call: Call) -> Snapshot:
        context = self._context
        if request.name is not None:
            check_name(request.name, "a snapshot")
        vm = await context.find(request.ref)
        async with (
            under_way(context.operations, call, "snapshot.create", vm.name),
            context.exclusively(vm) as vm,
        ):
            check(vm.name, vm.state, Action.SNAPSHOT)
            directory = snapshot_directory(self._state(vm), self._new_name(vm, request.name))
            await context.machines.save(vm, directory, call, memory=request.memory)
        return await asyncio.to_thread(snapshot_of, vm, directory)

    def _new_name(self, vm: Vm, wanted: str | None) -> str:
        """The name of a new snapshot: ``wanted``, or one made from the local time.

        Raises:
            BangerError: ``conflict`` when the name is taken, or the VM has ``MOST_SNAPSHOTS``.
        """
        there = snapshot_names(self._state(vm))
        if wanted in there:
            raise BangerError(
                Code.CONFLICT,
                f"{vm.name} already has a snapshot {wanted}",
                hint="choose another name, or delete it: "
                f"banger vm snapshot delete {vm.name} {wanted}",
            )
        if len(there) >= MOST_SNAPSHOTS:
            raise BangerError(
                Code.CONFLICT,
                f"{vm.name} has {len(there)} snapshots, and cannot have more",
                hint=f"delete some: banger vm snapshot delete {vm.name} NAME...",
            )
        return wanted or name_of_time(time.strftime("%Y-%m-%d-%H%M"), there)

    @handles(api.SNAPSHOT_LIST)
    async def list_snapshots(self, request: SnapshotFilter, _call: Call) -> SnapshotList:
        context = self._context
        vms = [await context.find(request.ref)] if request.ref else await context.rows()
        found = await asyncio.to_thread(self._all_of, vms)
        keyed = ((f"{each.created_at} {each.vm_id} {each.name}", each) for each in found)
        snapshots, cursor = cut(keyed, request.after)
        return SnapshotList(snapshots=snapshots, next=cursor)

    def _all_of(self, vms: list[Vm]) -> list[Snapshot]:
        return [
            snapshot_of(vm, snapshot_directory(self._state(vm), name), self._obstacles)
            for vm in vms
            for name in snapshot_names(self._state(vm))
        ]

    @handles(api.SNAPSHOT_SHOW)
    async def show(self, request: SnapshotRef, _call: Call) -> Snapshot:
        vm = await self._context.find(request.ref)
        directory = find_snapshot(vm, self._state(vm), request.name)
        find = partial(self._obstacles, probes=True)
        return await asyncio.to_thread(snapshot_of, vm, directory, find, check=True)

    def _obstacles(self, vm: Vm, saved: SavedMachine, *, probes: bool = False) -> list[str]:
        return obstacles(vm, saved, self._context.config, self._context.paths, probes=probes)

    @handles(api.SNAPSHOT_RESTORE)
    async def restore(self, request: SnapshotRestore, call: Call) -> VmView:
        context = self._context
        vm = await context.find(request.ref)
        async with (
            under_way(context.operations, call, "snapshot.restore", vm.name),
            context.exclusively(vm) as vm,
        ):
            check(vm.name, vm.state, Action.RESTORE)
            directory = find_snapshot(vm, self._state(vm), request.name)
            with context.snapshot_holds.held(vm.id, request.name):
                saved = await asyncio.to_thread(
                    read_saved, directory, check=False, memory=request.memory
                )
                if not request.force:
                    written = last_written(self._state(vm))
                    lost = losses(vm.name, vm.state, written, saved.created)
                    refuse_losses(vm.name, request.name, lost)
                vm = await self._become(vm, directory, saved, call)
            if vm.state == "suspended":
                told = await context.machines.boot(vm, call)
                vm = replace(vm, state=told.state, reason=told.reason)
        return context.view(vm)

    async def _become(self, vm: Vm, directory: Path, saved: SavedMachine, call: Call) -> Vm:
        """Have the supervisor restore ``directory``; returns the row afterwards.

        The row gets the sizes of ``saved`` before the disks are replaced: a disk may be larger than
        its row says, never smaller. After an error it has its own sizes again.
        """
        context = self._context
        wanted = replace(vm, **sizes_of(saved))
        if wanted != vm:
            await context.ask(store.VM_UPDATE(id=vm.id, spec=wanted))
        try:
            memory = saved.memory is not None
            request = supervisor.RESTORE(directory=str(directory), memory=memory)
            told = await context.machines.have_done(wanted, request, call)
        except BaseException:
            if wanted != vm and not context.stopping.is_set():
                await context.ask(store.VM_UPDATE(id=vm.id, spec=vm))
            raise
        return replace(wanted, state=told.state, reason=told.reason)

    @handles(api.SNAPSHOT_DELETE)
    async def delete(self, request: SnapshotDelete, _call: Call) -> SnapshotsDeleted:
        context, names = self._context, list(dict.fromkeys(request.names))
        vm = await context.find(request.ref)
        directories = [find_snapshot(vm, self._state(vm), name) for name in names]
        for name in names:
            context.snapshot_holds.refuse_held(vm.id, name)
        freed = 0
        for directory in directories:
            shown = await asyncio.to_thread(snapshot_of, vm, directory)
            await context.completed(asyncio.to_thread(discard, directory))
            freed += shown.real_bytes
        return SnapshotsDeleted(vm_id=vm.id, vm_name=vm.name, deleted=names, real_bytes=freed)

    def _state(self, vm: Vm) -> Path:
        return self._context.paths.vm_state(vm.id)


def sizes_of(saved: SavedMachine) -> dict[str, int]:
    """The sizes of the machine that was saved, as fields of ``VmSpec``."""
    bytes_of = {device.name: device.bytes for device in saved.devices}
    return {
        "vcpu": saved.vcpus,
        "memory_mib": saved.memory_mib,
        "overlay_bytes": bytes_of["overlay"],
        "disk_bytes": bytes_of["work"],
    }
