"""Verbs that only look: list, resolve, show, access, stats, ports, health."""

import asyncio
import time
from collections.abc import Callable

from services.api.context import ApiContext
from services.api.machines.disk_use import occupied
from services.api.machines.idleness import limit_of
from services.api.machines.snapshots import snapshot_names
from services.api.policy.filters import matcher
from services.api.policy.image_session import exec_of
from shared.bus.handlers import Call, handles
from shared.bus.paging import Page
from shared.contract.lifecycle import LIVE, PRUNABLE, Action, check
from shared.contract.messages.guest_run import CommandWish
from shared.contract.messages.page import After
from shared.contract.messages.rows import row_cursor
from shared.contract.messages.vm import (
    Check,
    Health,
    PortList,
    ResolvedList,
    Vm,
    VmAccess,
    VmFilter,
    VmList,
    VmRef,
    VmRefs,
    VmStats,
    VmView,
)
from shared.contract.verbs import api, store, supervisor
from shared.errors import BangerError, Code
from shared.vm import files

MIB = 1024 * 1024


class ReportVerbs:
    """What a VM is, uses and listens on, and how to reach it."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    @handles(api.VM_LIST)
    async def list_vms(self, request: VmFilter, _call: Call) -> VmList:
        return await self._page(request.after, matcher(request.filters))

    @handles(api.VM_PRUNABLE)
    async def prunable(self, request: After, _call: Call) -> VmList:
        """A VM that is stopping is none of them: it may be one that is being restarted."""
        page = await self._page(request.after, lambda vm: vm.state in PRUNABLE)
        for view in page.vms:
            view.snapshots = self._number_of_snapshots(view.vm)
        return page

    def _number_of_snapshots(self, vm: Vm) -> int:
        return len(snapshot_names(self._context.paths.vm_state(vm.id)))

    async def _page(self, after: str, passes: Callable[[Vm], bool]) -> VmList:
        """The VMs of users that pass on one page of the store; fewer when their views are too
        large."""
        rows = await self._context.ask(store.VM_LIST(after=after))
        page: Page[VmView] = Page()
        for vm in rows.vms:
            if vm.keeper:
                continue
            view = self._context.view(vm)
            if passes(view.vm) and not page.takes(view):
                last = page.items[-1].vm
                return VmList(vms=page.items, next=row_cursor(last.created_at, last.id))
        return VmList(vms=page.items, next=rows.next)

    @handles(api.VM_RESOLVE)
    async def resolve(self, request: VmRefs, _call: Call) -> ResolvedList:
        return await self._context.ask(
            store.VM_RESOLVE(refs=request.refs, whole_names=request.whole_names)
        )

    @handles(api.VM_SHOW)
    async def show(self, request: VmRef, _call: Call) -> VmView:
        shown = self._context.view(await self._context.ask(store.VM_GET(ref=request.ref)))
        config = await self._context.image_configs.if_known(shown.vm.image_id)
        shown.exposed = list(config.exposed) if config else None
        shown.snapshots = self._number_of_snapshots(shown.vm)
        shown.idle_limit = limit_of(shown.vm, self._context.config.idle_suspend_after)
        shown.awake = self._context.idleness.awake.get(shown.vm.id, "")
        return shown

    @handles(api.VM_ACCESS)
    async def access(self, request: VmAccess, call: Call) -> VmView:
        """How to reach the guest, for somebody who is about to: counts as use."""
        shown = await self._context.reach(request.ref, call)
        self._context.spawn(self._context.touch(shown.vm.id))
        shown.notices = await self._context.moved_heads.notices(shown.vm)
        if request.command:
            await self._take_from_image(shown, request.command)
        return shown

    async def _take_from_image(self, shown: VmView, wish: CommandWish) -> None:
        """Without the images service, the command is run as it was asked for, which is said."""
        try:
            config = await self._context.image_configs.of(shown.vm.image_id)
        except BangerError as error:
            shown.notices.append(
                f"the variables, directory and user of {shown.vm.image_name} are not known "
                f"now, so the command runs without them: {error.message}"
            )
            return
        shown.command = exec_of(config, wish)

    @handles(api.VM_STATS)
    async def stats(self, request: VmRef, call: Call) -> VmStats:
        vm = await self._context.find(request.ref)
        sample = self._disk_stats(vm)
        sample.saved_bytes = await asyncio.to_thread(self._saved_bytes, vm)
        sample.at = time.monotonic()
        if self._is_served(vm):
            try:
                running = await self._context.ask(
                    supervisor.STATS().at(vm.id), deadline=call.deadline
                )
            except BangerError as error:
                if error.code is not Code.NOT_RUNNING:  # not yet, or not any more
                    raise
            else:
                sample.at = running.at
                sample.cpu_seconds = running.cpu_seconds
                sample.resident_bytes = running.resident_bytes
                sample.guest_memory_bytes = running.guest_memory_bytes
                sample.unique_memory_bytes = running.unique_memory_bytes
                sample.uptime = running.uptime
                sample.received_bytes = running.received_bytes
                sample.sent_bytes = running.sent_bytes
        return sample

    def _saved_bytes(self, vm: Vm) -> int:
        state = self._context.paths.vm_state(vm.id)
        return sum(occupied(state / name) for name in (files.SNAPSHOTS, files.SUSPENDED))

    def _disk_stats(self, vm: Vm) -> VmStats:
        apparent = allocated = 0
        for name in (files.OVERLAY, files.WORK_DISK):
            try:
                info = (self._context.paths.vm_state(vm.id) / name).stat()
            except FileNotFoundError:
                continue  # made at the first start
            apparent += info.st_size
            allocated += info.st_blocks * 512  # stat(2): st_blocks counts 512-byte units
        return VmStats(
            id=vm.id,
            name=vm.name,
            state=vm.state,
            at=0.0,
            vcpu=vm.vcpu,
            memory_bytes=vm.memory_mib * MIB,
            disk_apparent=apparent,
            disk_allocated=allocated,
        )

    @handles(api.VM_PORTS)
    async def ports(self, request: VmRef, call: Call) -> PortList:
        vm = await self._context.find(request.ref)
        check(vm.name, vm.state, Action.SESSION)
        return await self._context.ask(supervisor.PORTS().at(vm.id), deadline=call.deadline)

    @handles(api.VM_HEALTH)
    async def health(self, request: VmRef, call: Call) -> Health:
        vm = await self._context.find(request.ref)
        if not self._is_served(vm):
            detail = f"{vm.name} is {vm.state}" + (f": {vm.reason}" if vm.reason else "")
            checks = [Check(name="supervisor", ok=False, detail=detail)]
            return Health(id=vm.id, name=vm.name, healthy=False, checks=checks)
        return await self._context.ask(supervisor.HEALTH().at(vm.id), deadline=call.deadline)

    def _is_served(self, vm: Vm) -> bool:
        return vm.state in LIVE and self._context.supervisors.serves(vm.id)
