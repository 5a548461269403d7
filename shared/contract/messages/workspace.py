"""Bodies of the verbs about workspaces: a repository of the host in a guest, and what comes out.

Paths of the host are absolute. Names of files that a repository holds are bytes without a rule; in
these structs they are text decoded with surrogateescape and then made printable, for people. What
programs read goes into a file: ``output`` is the path of one that the caller has made and opens
for writing by this user (often /proc/PID/fd/N of a file without a name).
"""

from typing import Annotated, Literal

import msgspec

from shared.contract.ssh_access import Access

GUEST_PATH = "/root/repo"
"""Where a repository is placed unless the user says otherwise."""
MOST_NAMED = 1000
"""Changed files that an answer names; ``more`` counts the rest."""

HostPath = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
GuestPath = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
Revision = Annotated[str, msgspec.Meta(max_length=255)]


class Workspace(msgspec.Struct, kw_only=True, frozen=True):
    """One repository in a guest, as the VM's row keeps it."""

    host_path: str
    """The top level of the repository on the host."""
    guest_path: str = GUEST_PATH
    commit: str = ""
    """What was prepared; empty for a repository without commits."""
    branch: str = ""
    """The branch in the guest; empty for a detached HEAD."""
    prepared_at: str = ""
    """Of the last prepare or sync, RFC 3339."""
    head: str = ""
    """The commit that the host's HEAD was then; ``commit`` is another where a branch was made. The
    api fills it in."""


class WorkspaceChoice(msgspec.Struct, kw_only=True):
    """What a user may choose of a prepare. ``path`` is in the repository, or its top level."""

    path: HostPath
    guest_path: GuestPath = GUEST_PATH
    branch: Revision = ""
    """A branch that is made in the guest's copy only; empty: the host's own."""
    start: Revision = ""
    """``--from``: where that branch begins; empty: the host's HEAD."""
    include_untracked: bool = False
    full: bool = False
    """Ship the whole history instead of the last ``HISTORY_DEPTH`` commits."""
    bootstrap: bool = True


class ToolWish(msgspec.Struct, kw_only=True, frozen=True):
    """A tool that the repository pins: name and version as mise knows them, and the file."""

    name: str
    version: str
    source: str


class WorkspacePlanRequest(WorkspaceChoice, kw_only=True):
    """``workspace.plan``: what a prepare would do; refuses what it would refuse.

    ``output`` gets the selected files, each ended by a NUL, sorted; "" for none. ``outside``:
    whether the VM reaches the outside, which the bootstrap needs.
    """

    output: str = ""
    outside: bool = False


class WorkspacePlan(msgspec.Struct, kw_only=True):
    host_path: str
    guest_path: str
    mode: Literal["shallow", "full", "empty"]
    """How much history goes in; ``empty``: there is none."""
    commit: str = ""
    branch: str = ""
    commits: int = 0
    files: int = 0
    """How many files the guest gets, submodules included."""
    changed: int = 0
    """How many of them differ from the commit."""
    bytes: int = 0
    """What those changed ones hold, which is sent beside the history."""
    submodules: list[str] = []
    untracked: int = 0
    """Untracked files that are left out."""
    tools: list[ToolWish] = []
    notices: list[str] = []
    """Sentences for the user."""


class WorkspacePrepare(WorkspaceChoice, kw_only=True):
    """``workspace.prepare``. ``force``: overwrite what the guest has changed."""

    ref: str
    force: bool = False
    wait_for_tools: bool = False
    """Return when the bootstrap has ended, instead of when it has begun."""


class WorkspaceSync(msgspec.Struct, kw_only=True):
    """``workspace.sync``: take the host's later changes to a workspace that was prepared."""

    ref: str
    guest_path: str = ""
    """Empty: the VM's only workspace."""
    force: bool = False


class Prepared(msgspec.Struct, kw_only=True):
    workspace: Workspace
    files: int = 0
    """How many files were sent, or checked out in the guest."""
    removed: int = 0
    bytes: int = 0
    """What was sent."""
    notices: list[str] = []
    tools_log: str = ""
    """The guest's file that the bootstrap writes to; empty when there is none."""


ChangeKind = Literal["added", "modified", "deleted", "renamed", "type"]


class Change(msgspec.Struct, kw_only=True, frozen=True):
    kind: ChangeKind
    path: str
    old_path: str = ""
    """Of a renamed file."""


class WorkspaceRef(msgspec.Struct, kw_only=True):
    """``ref`` is the VM's; ``guest_path`` may be empty where the VM has one workspace."""

    ref: str
    guest_path: str = ""


class WorkspaceStatus(msgspec.Struct, kw_only=True):
    workspace: Workspace
    guest: list[Change] = []
    """What changed in the guest since the last prepare or sync: ``MOST_NAMED`` at most."""
    guest_more: int = 0
    guest_commits: int = 0
    """Commits made in the guest since."""
    guest_branch: str = ""
    host: list[Change] = []
    """What a sync would send."""
    host_more: int = 0
    host_commit: str = ""
    host_problem: str = ""
    """Why the host's repository cannot be read any more."""


ExportFormat = Literal["patch", "commits", "files"]


class WorkspaceExport(WorkspaceRef, kw_only=True):
    """``workspace.export``: write what the guest holds, and change nothing in it.

    ``patch``: what ``git apply`` takes; ``commits``: an mbox that ``git am`` takes, what is not
    committed as a last patch; ``files``: a tar archive of the files that were added or changed.
    """

    output: HostPath
    format: ExportFormat = "patch"
    base: Revision = ""
    """The commit that the patch is against; empty: the one that was prepared."""
    since_prepare: bool = False
    """Only what changed in the guest since the last prepare or sync."""


class WorkspaceApply(WorkspaceRef, kw_only=True):
    """``workspace.apply``: what the guest changed since prepare, merged into files of the host.

    Into the repository that was prepared, or with ``worktree`` into a new git worktree of it.
    ``commits``: as commits with the guest's authors, dates and messages, on the branch that is
    checked out. Raises ``conflict`` with ``details["paths"]`` and changes nothing when the two do
    not go together.
    """

    worktree: str = ""
    commits: bool = False


class Exported(msgspec.Struct, kw_only=True):
    workspace: Workspace
    changes: list[Change] = []
    more: int = 0
    commits: int = 0
    bytes: int = 0
    base: str = ""
    """The commit that a patch is against."""
    notices: list[str] = []


class Applied(msgspec.Struct, kw_only=True):
    workspace: Workspace
    host_path: str
    """Where the changes are now."""
    changes: list[Change] = []
    more: int = 0
    commits: int = 0
    notices: list[str] = []


# -- between the api and the service that does the transfers -------------------------------------


class Target(msgspec.Struct, kw_only=True, frozen=True):
    """A VM that a transfer is for."""

    vm_id: str
    vm_name: str
    access: Access


class TransferPrepare(WorkspaceChoice, kw_only=True):
    target: Target
    force: bool = False
    sync: bool = False
    """Take all but ``path`` and ``guest_path`` from the last prepare, which there has to be."""
    outside: bool = False
    wait_for_tools: bool = False


class TransferStatus(msgspec.Struct, kw_only=True):
    target: Target
    workspace: Workspace


class TransferExport(TransferStatus, kw_only=True):
    output: HostPath
    format: ExportFormat = "patch"
    base: Revision = ""
    since_prepare: bool = False


class TransferApply(TransferStatus, kw_only=True):
    worktree: str = ""
    commits: bool = False


class TransferFiles(msgspec.Struct, kw_only=True):
    """``transfer.files``: bring the configuration's files into a guest that has just started."""

    target: Target


class FilesSent(msgspec.Struct, kw_only=True):
    sent: int
    notices: list[str] = []
