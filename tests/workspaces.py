"""A workspace for unit tests: placed by the product, with this machine as the guest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.workspaces.jobs import apply, export, prepare, status
from shared.contract.messages.workspace import (
    Applied,
    Exported,
    ExportFormat,
    Prepared,
    Target,
    TransferApply,
    TransferExport,
    TransferStatus,
    Workspace,
    WorkspaceStatus,
)
from tests.scripted.local_guest import LocalGuest


@dataclass
class LocalWorkspace:
    """The repository at ``host``, and its copy at ``guest``."""

    local: LocalGuest
    host: Path
    guest: Path
    workspace: Workspace

    @property
    def base(self) -> str:
        return self.workspace.commit

    @property
    def target(self) -> Target:
        return Target(vm_id="0123456789ab", vm_name="web", access=self.local.access)

    def status(self) -> WorkspaceStatus:
        request = TransferStatus(target=self.target, workspace=self.workspace)
        return status.run(request, self.local.context())

    def export(
        self,
        output: Path,
        format: ExportFormat = "patch",  # noqa: A002  as in the message
        *,
        base: str = "",
        since_prepare: bool = False,
    ) -> Exported:
        request = TransferExport(
            target=self.target,
            workspace=self.workspace,
            output=str(output),
            format=format,
            base=base,
            since_prepare=since_prepare,
        )
        return export.run(request, self.local.context())

    def apply(self, *, commits: bool = False, worktree: str = "") -> Applied:
        request = TransferApply(
            target=self.target, workspace=self.workspace, commits=commits, worktree=worktree
        )
        return apply.run(request, self.local.context())

    def sync(self, *, force: bool = False) -> Prepared:
        request = self.local.request(self.host, force=force, sync=True)
        done = prepare.run(request, self.local.context())
        self.workspace = done.workspace
        return done


def place(host: Path, local: LocalGuest, **choices: Any) -> LocalWorkspace:
    """Prepare the repository at ``host`` in the guest."""
    done = prepare.run(local.request(host, bootstrap=False, **choices), local.context())
    return LocalWorkspace(local, host, local.path(), done.workspace)
