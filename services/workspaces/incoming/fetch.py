"""A workspace comes out of its guest: one session and one quarantine for each repository in it."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from services.workspaces.guest.scripts import busybox_argv
from services.workspaces.guest.session import GuestSession
from services.workspaces.guest.snapshot import SNAPSHOT, Sent, snapshot_arguments
from services.workspaces.incoming.answer import GuestAnswer, read_answer
from services.workspaces.incoming.changes import empty_tree, readable, tree_of
from services.workspaces.incoming.gitlinks import (
    gitlinks,
    keep_gitlinks,
    submodule_at,
    tracked_gitlinks,
)
from services.workspaces.incoming.quarantine import lone_quarantine, receive_pack, require
from services.workspaces.repository.discovery import Repository, discover
from services.workspaces.repository.git_process import GitProcess
from services.workspaces.repository.private_git import PrivateGit
from shared.contract.messages.workspace import Workspace
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.plain_text import printable

MOST_REPOSITORIES = 200
"""Submodules of one workspace, nested ones too."""
MOST_NOTICES = 10
"""Of one kind, of one repository."""


@dataclass
class GuestTree:
    """One repository as the guest has it, with all objects that are needed in ``git``.

    ``base_tree``, ``placed`` and ``tree`` are trees there. ``tree`` has the gitlinks of ``placed``.
    """

    git: GitProcess
    directory: Path
    """Its git directory, of this transfer."""
    host: PrivateGit | None
    """The same as ``git``; None when the host's repository is gone."""
    base: str
    """The commit that was prepared, of the host; empty for a repository without commits."""
    base_tree: str
    placed: str
    """What was placed in the guest: the commit's files and the host's edits."""
    tree: str
    answer: GuestAnswer
    prefix: bytes = b""
    """Of its paths in the workspace: empty, or a submodule's path and a slash."""
    notices: list[str] = field(default_factory=list)


def open_host(workspace: Workspace, directory: Path) -> PrivateGit:
    """The host's repository. Raises what ``discover`` does, and ``not_found`` when it does not have
    the commit any more that was prepared."""
    repository = discover(workspace.host_path)
    if str(repository.top) != workspace.host_path:
        raise BangerError(
            Code.NOT_FOUND, f"there is no repository at {printable(workspace.host_path)} any more"
        )
    git = PrivateGit(repository, directory / "git")
    require_commit(git, workspace.commit)
    return git


def fetch_workspace(
    access: Access,
    workspace: Workspace,
    git: PrivateGit,
    directory: Path,
    sent: Sent = Sent.FILES,
) -> list[GuestTree]:
    """The workspace's repository, taken into ``git``, and then its submodules, each after the one
    that it is in, taken into git directories below ``directory``.

    Raises ``not_found`` when the workspace is gone from the guest, and what ``read_answer`` and
    ``receive_pack`` raise.
    """
    top = fetch(access, workspace.guest_path, git, workspace.commit, sent)
    found = [top]
    for outer in found:  # which grows meanwhile
        for path, commit, inner in _submodules(outer):
            if len(found) > MOST_REPOSITORIES:
                raise BangerError(
                    Code.TOO_LARGE, f"the workspace has more than {MOST_REPOSITORIES} submodules"
                )
            name = outer.prefix + path
            guest_path = f"{workspace.guest_path}/{os.fsdecode(name)}"
            try:
                inner_git = PrivateGit(inner, directory / f"git-{len(found)}")
                require_commit(inner_git, commit)
                fetched = fetch(access, guest_path, inner_git, commit, sent)
            except BangerError as error:
                if error.code is not Code.NOT_FOUND:
                    raise
                top.notices.append(f"submodule {readable(name)}: {error.message}")
                shutil.rmtree(directory / f"git-{len(found)}")
                continue
            fetched.prefix = name + b"/"
            found.append(fetched)
    return found


def fetch(
    access: Access, guest_path: str, git: PrivateGit, base: str, sent: Sent = Sent.FILES
) -> GuestTree:
    """One repository, taken into ``git``."""
    answer = _receive(access, guest_path, git, git.git_directory, base, sent)
    commits = [answer.head] if sent is Sent.COMMITS and answer.head else []
    return _verified(git, git.git_directory, git, base, tree_of(git, base), answer, commits)


def fetch_alone(access: Access, workspace: Workspace, directory: Path) -> GuestTree:
    """The workspace's repository, without submodules, when the host's own is gone.

    The commit that was prepared is then what the guest says that it is.
    """
    base = workspace.commit
    quarantine = directory / "alone"
    git = lone_quarantine(quarantine, "sha256" if len(base) == 64 else "sha1")
    answer = _receive(access, workspace.guest_path, git, quarantine, base, Sent.WHOLE)
    return _verified(git, quarantine, None, base, answer.base or empty_tree(git), answer, [])


def require_commit(git: PrivateGit, commit: str) -> None:
    """Raise ``not_found`` unless the host still has what was prepared."""
    if commit and git.attempt("cat-file", "-e", f"{commit}^{{commit}}").status:
        raise BangerError(
            Code.NOT_FOUND,
            f"{printable(str(git.repository.top))} does not have the commit {commit[:12]} any "
            "more, from which the workspace was prepared",
            hint="take the files out: banger vm cp",
        )


def _receive(
    access: Access, guest_path: str, git: GitProcess, directory: Path, base: str, sent: Sent
) -> GuestAnswer:
    arguments = snapshot_arguments(guest_path, base, sent)
    with GuestSession(access, busybox_argv(SNAPSHOT, arguments)) as session:
        session.stdin.close()
        answer = read_answer(session.stdout.read, guest_path)
        try:
            receive_pack(git, session.stdout.read, directory / "objects")
        except BangerError as error:
            if error.code is not Code.LOST:
                raise
            session.finish()  # it knows whether the connection ended
            words = (session.complaints() or ["it did not say why"])[-1]
            raise BangerError(
                Code.GUEST_FAILED, f"the guest could not send {printable(guest_path)}: {words}"
            ) from error
        session.finish()
    return answer


def _verified(
    git: GitProcess,
    directory: Path,
    host: PrivateGit | None,
    base: str,
    base_tree: str,
    answer: GuestAnswer,
    commits: list[str],
) -> GuestTree:
    kinds = dict.fromkeys([answer.tree, *filter(None, [answer.prepared]), base_tree], "tree")
    kinds |= dict.fromkeys(commits, "commit")
    empty = empty_tree(git)
    require(git, {oid: kind for oid, kind in kinds.items() if oid != empty})
    placed = answer.prepared or base_tree
    tree, links = keep_gitlinks(git, directory, placed, answer.tree)
    notices = [
        f"{readable(path)} is a repository within the repository: its commit stays in the guest"
        for path in links[:MOST_NOTICES]
    ]
    notices += [f"{name} has no commits, and was left out" for name in answer.left[:MOST_NOTICES]]
    if not answer.prepared:
        notices.append(
            "the guest does not know any more what was placed in it: its files are compared with "
            "the commit"
        )
    return GuestTree(git, directory, host, base, base_tree, placed, tree, answer, notices=notices)


def _submodules(outer: GuestTree) -> Iterator[tuple[bytes, str, Repository]]:
    """Path, prepared commit and the host's repository of each that the host itself has there."""
    links = gitlinks(outer.git, outer.placed)
    if not links or outer.host is None:
        return
    own = {**tracked_gitlinks(outer.host), **gitlinks(outer.git, outer.base_tree)}
    for path, commit in links.items():
        repository = submodule_at(outer.host.repository, path) if path in own else None
        if repository is not None:
            yield path, commit, repository
