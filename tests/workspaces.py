"""A workspace for unit tests: a repository, its copy, and this machine as the guest that has it.

The copy is made by plain git, with what services/workspaces/guest leaves in a guest: a commit of
what was placed in refs/banger/prepared, and refs/banger/base.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.workspaces.job import JobContext
from shared.contract.messages.workspace import (
    Applied,
    Exported,
    ExportFormat,
    Target,
    TransferApply,
    TransferExport,
    TransferStatus,
    Workspace,
    WorkspaceStatus,
)
from shared.contract.ssh_access import Access
from tests.repositories import git
from tests.scripted.ssh_sessions import Guest, Server

BUSYBOX = (shutil.which("busybox") or "busybox", "sh")
"""In place of the guest's (services/workspaces/guest/scripts.py, SHELL)."""


@contextmanager
def local_guest() -> Iterator[Access]:
    """The way to this machine as a guest."""
    with tempfile.TemporaryDirectory(prefix="bngr") as directory:
        machine = Guest(environment={**os.environ, "HOME": directory})
        access = Access("h", 22, "/k", "/h", "id", f"{directory}/control")
        server = Server(access.control, machine)
        try:
            yield access
        finally:
            server.close()
            machine.close()


def copy_into_guest(host: Path, guest: Path, *, untracked: bool = False) -> str:
    """Copy the host's repository with its work tree; returns the commit, "" without one."""
    shutil.copytree(host, guest, symlinks=True)
    if not untracked:
        git(guest, "clean", "-q", "-f", "-d", "-x")
    base = git(guest, "rev-parse", "-q", "--verify", "HEAD", check=False).decode().strip()
    git(guest, "add", "-A")
    tree = git(guest, "write-tree").decode().strip()
    parent = ["-p", base] if base else []
    prepared = git(guest, "commit-tree", tree, *parent, "-m", "placed").decode().strip()
    git(guest, "update-ref", "refs/banger/prepared", prepared)
    if base:
        git(guest, "reset", "-q")
        git(guest, "update-ref", "refs/banger/base", base)
    return base


@dataclass
class LocalWorkspace:
    """``host`` is placed at ``guest``. Each job gets a directory of its own below ``directory``."""

    host: Path
    guest: Path
    access: Access
    directory: Path
    base: str = ""

    @property
    def workspace(self) -> Workspace:
        return Workspace(host_path=str(self.host), guest_path=str(self.guest), commit=self.base)

    @property
    def target(self) -> Target:
        return Target(vm_id="0123456789ab", vm_name="web", access=self.access)

    def context(self) -> JobContext:
        made = Path(tempfile.mkdtemp(dir=self.directory))
        return JobContext(made, lambda stage, message: None)

    def status(self) -> WorkspaceStatus:
        from services.workspaces.jobs import status

        request = TransferStatus(target=self.target, workspace=self.workspace)
        return status.run(request, self.context())

    def export(
        self,
        output: Path,
        format: ExportFormat = "patch",  # noqa: A002  as in the message
        *,
        base: str = "",
        since_prepare: bool = False,
    ) -> Exported:
        from services.workspaces.jobs import export

        request = TransferExport(
            target=self.target,
            workspace=self.workspace,
            output=str(output),
            format=format,
            base=base,
            since_prepare=since_prepare,
        )
        return export.run(request, self.context())

    def apply(self, *, commits: bool = False, worktree: str = "") -> Applied:
        from services.workspaces.jobs import apply

        request = TransferApply(
            target=self.target, workspace=self.workspace, commits=commits, worktree=worktree
        )
        return apply.run(request, self.context())


def place(
    host: Path, directory: Path, access: Access, *, untracked: bool = False
) -> LocalWorkspace:
    """The repository at ``host`` as a workspace whose guest's copy is below ``directory``."""
    guest = directory / "guest"
    jobs = directory / "jobs"
    jobs.mkdir(parents=True)
    base = copy_into_guest(host, guest, untracked=untracked)
    return LocalWorkspace(host, guest, access, jobs, base)
