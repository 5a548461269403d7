"""What a prepare is asked, and what the host's repository says to it, before a guest is reached."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from services.workspaces.guest.skeleton import GuestGit, patterns, settings_of
from services.workspaces.jobs.choice import read_choice
from services.workspaces.placement.record import PlacedWorkspace
from services.workspaces.repository.configuration import private_settings
from services.workspaces.repository.history import History, history, open_pack
from services.workspaces.repository.private_git import PrivateGit
from services.workspaces.repository.selection import Entry, Selection
from services.workspaces.repository.settings import GitIdentity, carried_settings
from shared.contract.messages.workspace import TransferPrepare, Workspace
from shared.workers.job import JobContext


@dataclass
class HostRepository:
    """The workspace's repository or a submodule: what goes in, and the git to read it with."""

    git: PrivateGit
    selection: Selection
    history: History | None
    """None in a repository without commits."""
    ref: str
    """The branch that the guest's HEAD is to name, as refs/heads/…; empty for none."""
    below: bytes = b""
    """The submodule's path in the workspace; empty for the workspace."""
    links: list[tuple[bytes, str]] = field(default_factory=list)
    """Paths in it of the submodules that go in, and their commits."""

    def guest_git(self) -> GuestGit:
        """The git directory that the guest gets."""
        git, selection = self.git, self.selection
        private = private_settings(git.configuration, git.repository)
        ignored = private.get("core.excludesfile")
        ours = git.git_directory
        excludes = [ours / "info/exclude", *([Path(ignored)] if ignored else [])]
        carried = carried_settings(git.configuration)
        settings = settings_of(git.configuration, sparse=bool(selection.sparse))
        return GuestGit(
            head=selection.head,
            ref=self.ref,
            refs=self.history.refs if self.history else {},
            shallow=tuple(self.history.shallow) if self.history else (),
            object_format=git.repository.object_format,
            settings={**settings, **identity_settings(carried.own)},
            origin=carried.origin,
            exclude=patterns(*excludes),
            attributes=patterns(ours / "info/attributes"),
            sparse_patterns=patterns(ours / "info/sparse-checkout") if selection.sparse else b"",
        )

    def pack(self, exclude: list[str], shallow: list[str]) -> "subprocess.Popen[bytes]":
        """Its history without what ``exclude`` has; ``shallow``: more commits without parents."""
        assert self.history is not None
        both = sorted({*self.history.shallow, *shallow})
        return open_pack(self.git, replace(self.history, shallow=both), exclude=exclude)


@dataclass
class PrepareRequest:
    """A prepare whose repository has been read. ``repositories``: submodules first, itself last."""

    request: TransferPrepare
    context: JobContext
    repositories: list[HostRepository]
    user: GitIdentity
    """The user's own, for a guest that has none."""
    notices: list[str]

    @classmethod
    def read(
        cls, request: TransferPrepare, context: JobContext, *, again: bool
    ) -> "PrepareRequest":
        """Read the host's repository. Raises as ``read_choice`` does."""
        chosen = read_choice(request, context.directory, again=again)
        found: list[HostRepository] = []
        _collect(chosen.git, chosen.selection, chosen.branch, request, b"", found)
        return cls(request, context, found, chosen.settings.user, chosen.notices)

    @property
    def top(self) -> Selection:
        return self.repositories[-1].selection

    @property
    def host_path(self) -> str:
        return str(self.top.repository.top)

    def files(self) -> Iterator[Entry]:
        """Of the workspace's own repository."""
        yield from self.top.checkout
        yield from self.top.overlay

    def path_of(self, repository: HostRepository) -> str:
        """Where it is, or is to be, in the guest."""
        below = os.fsdecode(repository.below)
        return f"{self.request.guest_path}/{below}" if below else self.request.guest_path

    def record(self) -> PlacedWorkspace:
        """The record, as yet without its repositories."""
        request = self.request
        return PlacedWorkspace(
            host_path=self.host_path,
            guest_path=request.guest_path,
            branch=request.branch,
            start=self.top.head if request.start else "",
            include_untracked=request.include_untracked,
            full=request.full,
            bootstrap=request.bootstrap,
            prepared_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        )

    def workspace(self, record: PlacedWorkspace) -> Workspace:
        """As the VM's row keeps it."""
        own = record.repositories[-1]
        return Workspace(
            host_path=record.host_path,
            guest_path=record.guest_path,
            commit=own.head,
            branch=own.ref.removeprefix("refs/heads/"),
            prepared_at=record.prepared_at,
        )


def identity_settings(identity: GitIdentity) -> dict[str, str]:
    """Those of the two that are known."""
    both = {"user.name": identity.name, "user.email": identity.email}
    return {name: value for name, value in both.items() if value}


def as_before(request: TransferPrepare, record: PlacedWorkspace) -> TransferPrepare:
    """A sync: with the choices of the last prepare."""
    return msgspec.structs.replace(
        request,
        path=record.host_path,
        branch=record.branch,
        start=record.start,
        include_untracked=record.include_untracked,
        full=record.full,
        bootstrap=record.bootstrap,
    )


def _collect(
    git: PrivateGit,
    selection: Selection,
    branch: str,
    request: TransferPrepare,
    below: bytes,
    to: list[HostRepository],
) -> None:
    """Add the submodules of a repository and then itself."""
    links = []
    for module in selection.submodules:
        inner = module.selection
        path = below + b"/" + module.path if below else module.path
        _collect(module.git, inner, inner.branch, request, path, to)
        if inner.head:
            links.append((module.path, inner.head))
    found = history(git, selection, full=request.full) if selection.head else None
    ref = f"refs/heads/{branch}" if branch else ""
    to.append(HostRepository(git, selection, found, ref, below, links))
