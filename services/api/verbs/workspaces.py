"""Verbs about repositories in guests: plan, prepare, sync, status, export, apply.

The service ``workspaces`` does the work. No lock of the VM is held meanwhile: a VM can be stopped
and deleted under a transfer, which then ends.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from msgspec.structs import replace

from services.api.context import ApiContext
from services.api.machines.corrections import LOST_SECONDS, STORE_TROUBLES
from services.api.verbs.operations import under_way
from shared.bus.handlers import Call, handles
from shared.contract.lifecycle import LIVE
from shared.contract.messages.vm import Vm, VmView
from shared.contract.messages.workspace import (
    Applied,
    Exported,
    Prepared,
    Target,
    TransferApply,
    TransferExport,
    TransferPrepare,
    TransferStatus,
    Workspace,
    WorkspaceApply,
    WorkspaceChoice,
    WorkspaceExport,
    WorkspacePlan,
    WorkspacePlanRequest,
    WorkspacePrepare,
    WorkspaceRef,
    WorkspaceStatus,
    WorkspaceSync,
)
from shared.contract.reference import by_id
from shared.contract.verb import Request
from shared.contract.verbs import api, store, workspaces
from shared.contract.workspaces import check_room, find_workspace
from shared.errors import BangerError, Code
from shared.host.retry import RetryWindow, retry
from shared.logs import log_context, now_rfc3339

Result = TypeVar("Result")

PERHAPS_GONE = (Code.LOST, Code.UNAVAILABLE, Code.INTERNAL, Code.NOT_RUNNING, Code.NOT_FOUND)
"""How a transfer may fail whose VM has ended under it."""


class WorkspaceVerbs:
    """Each verb finds VM and workspace, has the transfer made, and stores what became of it."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    @handles(api.WORKSPACE_PLAN)
    async def plan_workspace(self, request: WorkspacePlanRequest, call: Call) -> WorkspacePlan:
        return await self._ask(workspaces.PLAN.of(request), call)

    @handles(api.WORKSPACE_PREPARE)
    async def prepare(self, request: WorkspacePrepare, call: Call) -> Prepared:
        choice = {name: getattr(request, name) for name in WorkspaceChoice.__struct_fields__}
        choice["guest_path"] = tidy(request.guest_path)
        vm, target = await self._reach(request.ref, call)
        check_room(vm, choice["guest_path"])
        transfer = TransferPrepare(
            **choice,
            target=target,
            force=request.force,
            outside=reaches_outside(vm),
            wait_for_tools=request.wait_for_tools,
        )
        return await self._place(vm, transfer, call, "workspace.prepare")

    @handles(api.WORKSPACE_SYNC)
    async def sync(self, request: WorkspaceSync, call: Call) -> Prepared:
        vm, target = await self._reach(request.ref, call)
        workspace = find_workspace(vm, tidy(request.guest_path))
        transfer = TransferPrepare(
            path=workspace.host_path,
            guest_path=workspace.guest_path,
            target=target,
            force=request.force,
            sync=True,
            outside=reaches_outside(vm),
        )
        return await self._place(vm, transfer, call, "workspace.sync")

    @handles(api.WORKSPACE_STATUS)
    async def workspace_status(self, request: WorkspaceRef, call: Call) -> WorkspaceStatus:
        vm, target, workspace = await self._find(request, call)
        transfer = TransferStatus(target=target, workspace=workspace)
        async with self._operation(vm, call, "workspace.status"):
            return await self._ask(workspaces.STATUS.of(transfer), call)

    @handles(api.WORKSPACE_EXPORT)
    async def export(self, request: WorkspaceExport, call: Call) -> Exported:
        vm, target, workspace = await self._find(request, call)
        transfer = TransferExport(
            target=target,
            workspace=workspace,
            output=request.output,
            format=request.format,
            base=request.base,
            since_prepare=request.since_prepare,
        )
        async with self._operation(vm, call, "workspace.export"):
            return await self._ask(workspaces.EXPORT.of(transfer), call)

    @handles(api.WORKSPACE_APPLY)
    async def apply(self, request: WorkspaceApply, call: Call) -> Applied:
        vm, target, workspace = await self._find(request, call)
        transfer = TransferApply(
            target=target,
            workspace=workspace,
            worktree=request.worktree,
            commits=request.commits,
        )
        async with self._operation(vm, call, "workspace.apply"):
            return await self._ask(workspaces.APPLY.of(transfer), call, repeat=False)

    # -- what a request means -----------------------------------------------------------------

    async def _reach(self, ref: str, call: Call) -> tuple[Vm, Target]:
        """A VM whose guest answers; that counts as use. Raises as ``ApiContext.reach``."""
        shown = await self._context.reach(ref, call)
        self._context.spawn(self._context.touch(shown.vm.id))
        return shown.vm, target_of(shown)

    async def _find(self, request: WorkspaceRef, call: Call) -> tuple[Vm, Target, Workspace]:
        """Raises as ``ApiContext.reach`` and ``find_workspace``."""
        vm, target = await self._reach(request.ref, call)
        return vm, target, find_workspace(vm, tidy(request.guest_path))

    # -- transfers ----------------------------------------------------------------------------

    async def _place(self, vm: Vm, transfer: TransferPrepare, call: Call, name: str) -> Prepared:
        """The row has the workspace when this returns, also when a cancel came too late."""
        context = self._context
        async with self._operation(vm, call, name):
            head = await context.moved_heads.head_of(transfer.path)
            done = await self._ask(workspaces.PREPARE.of(transfer), call)
            at = done.workspace.prepared_at or now_rfc3339()
            done.workspace = replace(done.workspace, head=head, prepared_at=at)
            change = store.VM_WORKSPACE(id=vm.id, workspace=done.workspace)
            await retry(
                lambda: context.ask(change), RetryWindow(LOST_SECONDS, codes=STORE_TROUBLES)
            )
        return done

    @asynccontextmanager
    async def _operation(self, vm: Vm, call: Call, name: str) -> AsyncIterator[None]:
        """Inside, a failure says when it is the VM's end."""
        async with under_way(self._context.operations, call, name, vm.name):
            with log_context(vm=vm.id):
                try:
                    yield
                except BangerError as error:
                    if error.code in PERHAPS_GONE:
                        await self._refuse_if_gone(vm)
                    raise

    async def _refuse_if_gone(self, vm: Vm) -> None:
        """Raises ``lost`` when the VM was deleted or has ended."""
        deleted = BangerError(Code.LOST, f"{vm.name} was deleted during the transfer")
        if vm.id in self._context.being_deleted:
            raise deleted
        try:
            now = await self._context.find(by_id(vm.id))
        except BangerError as error:
            if error.code is not Code.NOT_FOUND:
                return
            raise deleted from None
        if now.state not in LIVE or now.state == "stopping":
            raise BangerError(
                Code.LOST,
                f"{vm.name} was stopped during the transfer: it is {now.state}",
                hint=f"start it, then try again: banger vm start {vm.name}",
            )

    async def _ask(self, request: Request[Result], call: Call, *, repeat: bool = True) -> Result:
        """``repeat``: once more when the service was lost, since it may be asked twice."""
        window = RetryWindow(LOST_SECONDS if repeat else 0.0)
        while True:
            try:
                return await self._context.ask(
                    request, deadline=call.deadline, on_partial=call.progress, settle=True
                )
            except BangerError as error:
                await window.wait_or_raise(error)


def target_of(shown: VmView) -> Target:
    """For a transfer to a VM whose guest answers."""
    assert shown.access
    return Target(vm_id=shown.vm.id, vm_name=shown.vm.name, access=shown.access)


def reaches_outside(vm: Vm) -> bool:
    return vm.nat or bool(vm.allow)


def tidy(guest_path: str) -> str:
    """The path as it is compared and stored: one name for one place, if no symlink is in it."""
    parts = [part for part in guest_path.split("/") if part not in ("", ".")]
    return "/" * guest_path.startswith("/") + "/".join(parts)
