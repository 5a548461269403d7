"""A workspace comes out of its guest: one session and one quarantine for each repository in it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from services.workspaces.guest.session import GuestSession, script_argv
from services.workspaces.guest.snapshot import SNAPSHOT, Sent, snapshot_arguments
from services.workspaces.incoming.answer import GuestAnswer, read_answer
from services.workspaces.incoming.changes import empty_tree, readable, tree_of
from services.workspaces.incoming.gitlinks import (
    gitlinks,
    keep_gitlinks,
    submodule_at,
    tracked_gitlinks,
)
from services.workspaces.incoming.quarantine import receive_pack, require
from services.workspaces.repository.discovery import Repository, discover
from services.workspaces.repository.git_process import GitProcess
from services.workspaces.repository.private_git import PrivateGit
from shared.contract.messages.workspace import Workspace
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.plain_text import printable

MOST_REPOSITORIES = 200
"""Submodules of one workspace, nested ones too."""


@dataclass
class GuestTree:
    """One repository as the guest has it, with all objects that are needed in ``git``.

    All of ``base_tree``, ``placed`` and ``tree`` are trees there. ``tree`` has the gitlinks of
    ``placed``.
    """

    git: PrivateGit
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

    @property
    def head_tree(self) -> str:
        """Of the commit that is checked out in the guest, when commits were asked for."""
        return tree_of(self.git, self.answer.head)


def fetch_workspace(
    access: Access, workspace: Workspace, directory: Path, sent: Sent = Sent.FILES
) -> list[GuestTree]:
    """The workspace's repository, and then its submodules, each after the one that it is in.

    Raises ``not_found`` when the host's repository, its commit or the workspace in the guest is
    gone; what ``read_answer`` and ``receive_pack`` raise.
    """
    repository = discover(workspace.host_path)
    found: list[GuestTree] = []
    for tree in _fetch_all(access, repository, workspace, directory, sent):
        found.append(tree)
        if len(found) > MOST_REPOSITORIES:
            raise BangerError(
                Code.TOO_LARGE, f"the workspace has more than {MOST_REPOSITORIES} submodules"
            )
    return found


def _fetch_all(
    access: Access, repository: Repository, workspace: Workspace, directory: Path, sent: Sent
) -> Iterator[GuestTree]:
    git = PrivateGit(repository, directory / "git")
    require_commit(git, workspace.commit, repository)
    top = fetch(access, workspace.guest_path, git, workspace.commit, sent)
    yield top
    waiting = [(top, directory)]
    number = 0
    while waiting:
        outer, where = waiting.pop()
        for path, commit, inner in _submodules(outer):
            number += 1
            inner_git = PrivateGit(inner, where / f"git-{number}")
            name = outer.prefix + path
            guest_path = f"{workspace.guest_path}/{os.fsdecode(name)}"
            try:
                require_commit(inner_git, commit, inner)
                fetched = fetch(access, guest_path, inner_git, commit, sent)
            except BangerError as error:
                if error.code is not Code.NOT_FOUND:
                    raise
                top.notices.append(f"submodule {readable(name)}: {error.message}")
                continue
            fetched.prefix = name + b"/"
            yield fetched
            waiting.append((fetched, where))


def fetch(
    access: Access, guest_path: str, git: PrivateGit, base: str, sent: Sent = Sent.FILES
) -> GuestTree:
    """One repository, taken into ``git``."""
    arguments = snapshot_arguments(guest_path, base, sent)
    with GuestSession(access, script_argv(SNAPSHOT, arguments)) as session:
        session.stdin.close()
        answer = read_answer(session.stdout.read, guest_path)
        try:
            receive_pack(git, session.stdout.read, git.git_directory / "objects")
        except BangerError as error:
            if error.code is Code.LOST:
                session.finish()  # it knows whether the connection ended
                raise _ended_early(session.complaints(), guest_path) from error
            raise
        session.finish()
    return _verified(git, base, answer, with_commits=sent is Sent.COMMITS)


def require_commit(git: GitProcess, commit: str, repository: Repository) -> None:
    """Raise ``not_found`` unless the host still has what was prepared."""
    if commit and git.attempt("cat-file", "-e", f"{commit}^{{commit}}").status:
        raise BangerError(
            Code.NOT_FOUND,
            f"{printable(str(repository.top))} does not have the commit {commit[:12]} any more, "
            "from which the workspace was prepared",
            hint="take the files out: banger vm cp",
        )


def _verified(git: PrivateGit, base: str, answer: GuestAnswer, *, with_commits: bool) -> GuestTree:
    kinds = {answer.tree: "tree"}
    if answer.prepared:
        kinds[answer.prepared] = "tree"
    if with_commits and answer.head:
        kinds[answer.head] = "commit"
    empty = empty_tree(git)
    require(git, {oid: kind for oid, kind in kinds.items() if oid != empty})
    base_tree = tree_of(git, base)
    placed = answer.prepared or base_tree
    tree, links = keep_gitlinks(git, placed, answer.tree)
    notices = [
        f"{readable(path)} is a repository within the repository: its commit stays in the guest"
        for path in links[:10]
    ]
    notices += [f"{name} has no commits, and was left out" for name in answer.left]
    if not answer.prepared:
        notices.append(
            "the guest does not know any more what was placed in it: its files are compared with "
            "the commit"
        )
    return GuestTree(git, base, base_tree, placed, tree, answer, notices=notices)


def _submodules(outer: GuestTree) -> Iterator[tuple[bytes, str, Repository]]:
    """Path, prepared commit and the host's repository of each that the host itself has there."""
    links = gitlinks(outer.git, outer.placed)
    if not links:
        return
    own = {**tracked_gitlinks(outer.git), **gitlinks(outer.git, outer.base_tree)}
    for path, commit in links.items():
        repository = submodule_at(outer.git.repository, path) if path in own else None
        if repository is not None:
            yield path, commit, repository


def _ended_early(complaints: list[str], guest_path: str) -> BangerError:
    words = complaints[-1] if complaints else "it did not say why"
    return BangerError(
        Code.GUEST_FAILED, f"the guest could not send {printable(guest_path)}: {words}"
    )
