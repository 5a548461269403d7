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
from tests.repositories import empty, git, tracked_files, write
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
    """Place the host's files and history; returns the commit, "" without one."""
    base = git(host, "rev-parse", "-q", "--verify", "HEAD", check=False).decode().strip()
    branch = git(host, "symbolic-ref", "-q", "HEAD", check=False).decode().strip()
    hash_name = git(host, "rev-parse", "--show-object-format").decode().strip()
    empty(guest, f"--object-format={hash_name}")
    for name in ("core.autocrlf", "core.eol"):
        if value := git(host, "config", name, check=False).decode().strip():
            git(guest, "config", name, value)
    if base:
        git(guest, "fetch", "-q", "--no-auto-gc", "--no-tags", "--update-shallow", str(host), base)
        git(guest, "update-ref", "--no-deref", "HEAD", base)
        if branch:
            git(guest, "update-ref", branch, base)
            git(guest, "symbolic-ref", "HEAD", branch)
        git(guest, "update-ref", "refs/banger/base", base)
        git(guest, "read-tree", "HEAD")
    for path, (mode, content) in tracked_files(host, untracked=untracked).items():
        if mode == 0o120000:
            place = guest / os.fsdecode(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(os.fsdecode(content))
        else:
            write(guest, path, content, mode & 0o777)
    sparse = [
        line[2:] for line in git(host, "ls-files", "-v", "-z").split(b"\0") if line[:1] == b"S"
    ]
    absent = b"".join(path + b"\0" for path in sparse if not (guest / os.fsdecode(path)).exists())
    if absent:
        git(guest, "update-index", "-z", "--skip-worktree", "--stdin", stdin=absent)
    git(guest, "update-ref", "refs/banger/prepared", _placed(host, guest, base))
    return base


def _placed(host: Path, guest: Path, base: str) -> str:
    """A commit of what was placed. What a filter of the host has made counts as the host's blob."""
    index = guest / ".git/index"
    kept = index.read_bytes() if index.exists() else b""
    git(guest, "add", "-A", "--sparse")
    if base:
        same = set(git(host, "ls-files", "-z").split(b"\0"))
        same -= set(git(host, "diff-index", "-z", "--name-only", "HEAD").split(b"\0"))
        same = {path for path in same if path.endswith((b".bin", b".bat"))}
        lines = b""
        raw = git(guest, "diff-index", "-z", "--cached", "--no-renames", "HEAD").split(b"\0")
        for facts, path in zip(raw[0::2], raw[1::2], strict=False):
            _, mode, pointer, oid, kind = facts.split(b" ")
            if path in same and kind == b"M" and mode != b"160000":
                lines += b"%s %s %s\0%s\0" % (pointer, mode, oid, path)
                git(
                    guest,
                    "update-index",
                    "-z",
                    "--index-info",
                    stdin=b"%s %s\t%s\0" % (mode, pointer, path),
                )
        if lines:
            write(guest, ".git/banger/unconverted", lines)
    tree = git(guest, "write-tree").decode().strip()
    index.write_bytes(kept) if kept else index.unlink(missing_ok=True)
    parent = ["-p", base] if base else []
    return git(guest, "commit-tree", tree, *parent, "-m", "placed").decode().strip()


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
