"""Transfers without a guest: each is done at once, or when ``held`` is set."""

import asyncio

from shared.bus.handlers import Call, handles
from shared.contract.messages.workspace import (
    Applied,
    Exported,
    FilesSent,
    Prepared,
    Target,
    TransferApply,
    TransferExport,
    TransferFiles,
    TransferPrepare,
    TransferStatus,
    Workspace,
    WorkspacePlan,
    WorkspacePlanRequest,
    WorkspaceStatus,
)
from shared.contract.verbs import workspaces

COMMIT = "a" * 40


class FakeWorkspaces:
    """``too_late``: a transfer that is cancelled is done already."""

    def __init__(self) -> None:
        self.held: asyncio.Event | None = None
        self.too_late = False
        self.targets: list[Target] = []
        self.prepared: list[TransferPrepare] = []

    async def _wait(self, call: Call) -> None:
        call.progress("files", "sending")
        try:
            if self.held:
                await self.held.wait()
        except asyncio.CancelledError:
            if not self.too_late:
                raise

    @handles(workspaces.PLAN)
    async def plan(self, request: WorkspacePlanRequest, call: Call) -> WorkspacePlan:
        await self._wait(call)
        return WorkspacePlan(
            host_path=request.path, guest_path=request.guest_path, mode="shallow", commit=COMMIT
        )

    @handles(workspaces.PREPARE)
    async def prepare(self, request: TransferPrepare, call: Call) -> Prepared:
        self.targets.append(request.target)
        self.prepared.append(request)
        await self._wait(call)
        workspace = Workspace(
            host_path=request.path, guest_path=request.guest_path, commit=COMMIT, branch="main"
        )
        return Prepared(workspace=workspace, files=3)

    @handles(workspaces.STATUS)
    async def status(self, request: TransferStatus, call: Call) -> WorkspaceStatus:
        self.targets.append(request.target)
        await self._wait(call)
        return WorkspaceStatus(workspace=request.workspace)

    @handles(workspaces.EXPORT)
    async def export(self, request: TransferExport, call: Call) -> Exported:
        self.targets.append(request.target)
        await self._wait(call)
        return Exported(workspace=request.workspace, bytes=10)

    @handles(workspaces.APPLY)
    async def apply(self, request: TransferApply, call: Call) -> Applied:
        self.targets.append(request.target)
        await self._wait(call)
        return Applied(workspace=request.workspace, host_path=request.workspace.host_path)

    @handles(workspaces.FILES)
    async def files(self, request: TransferFiles, call: Call) -> FilesSent:
        self.targets.append(request.target)
        await self._wait(call)
        return FilesSent(sent=1, notices=["~/.netrc is not there"])
