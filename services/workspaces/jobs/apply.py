"""A guest's changes go into the host's repository, or into a new worktree of it."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from services.workspaces.applying.advance import (
    Advance,
    copy_objects,
    current_head,
    refuse_in_progress,
)
from services.workspaces.applying.host_tree import HostTree, host_tree
from services.workspaces.applying.new_worktree import check_directory, make_worktree
from services.workspaces.applying.placing import StagedFiles, all_or_nothing
from services.workspaces.applying.staged_files import staged_files
from services.workspaces.guest.snapshot import Sent
from services.workspaces.incoming.changes import ChangeList, changes_between, readable
from services.workspaces.incoming.fetch import GuestTree, fetch_workspace, open_host
from services.workspaces.incoming.gitlinks import gitlinks, is_below
from services.workspaces.incoming.merge import conflict, merge_trees
from services.workspaces.incoming.replay import committer_of, guest_commits, replay
from services.workspaces.repository.private_git import PrivateGit
from shared.contract.messages.workspace import Applied, TransferApply
from shared.errors import BangerError, Code
from shared.plain_text import printable
from shared.workers.job import JobContext


@dataclass
class _Merge:
    """One repository: what its files are and become, and the commits that come with it."""

    guest: GuestTree
    git: PrivateGit
    host: HostTree
    tree: str
    head: str
    """The host's commit."""
    new_head: str
    """The last of the commits made again on it; the same when there are none."""
    commits: int


def run(request: TransferApply, context: JobContext) -> Applied:
    """Raises ``conflict`` with ``details["paths"]`` when the two sides do not go together. Whatever
    it raises, nothing on the host has changed."""
    if request.worktree:
        return _into_worktree(request, context)
    git = open_host(request.workspace, context.directory)
    trees = _fetch(request, context, git)
    context.progress("merge", "merging")
    merges = [_merge(tree, with_commits=request.commits) for tree in trees]
    conflicts = [path for merge in merges for path in merge[1]]
    if conflicts:
        raise conflict(conflicts)
    done = [merge for merge, _ in merges if merge]
    context.progress("apply", "writing the files")
    notices = [notice for tree in trees for notice in tree.notices]
    changes = _place(done, request.target.vm_name, notices)
    return Applied(
        workspace=request.workspace,
        host_path=request.workspace.host_path,
        changes=changes.named,
        more=changes.more,
        commits=sum(merge.commits for merge in done),
        notices=notices,
    )


def _fetch(request: TransferApply, context: JobContext, git: PrivateGit) -> list[GuestTree]:
    context.progress("guest", f"reading {printable(request.workspace.guest_path)}")
    sent = Sent.COMMITS if request.commits else Sent.FILES
    access, workspace = request.target.access, request.workspace
    return fetch_workspace(access, workspace, git, context.directory, sent)


def _merge(guest: GuestTree, *, with_commits: bool) -> tuple[_Merge | None, Sequence[bytes]]:
    """The merge, and no conflicts; or the paths, with their prefix, that do not go together."""
    git = guest.host
    assert git
    host = host_tree(git, guest.placed, guest.tree)
    merged = merge_trees(git, guest.placed, host.tree, guest.tree)
    conflicts = list(merged.conflicts) or _in_submodules(guest, host.tree, merged.tree)
    if conflicts:
        return None, [guest.prefix + path for path in conflicts]
    head = new_head = current_head(git)
    commits = 0
    if with_commits:
        refuse_in_progress(git.repository)
        chain = guest_commits(git, guest.base, guest.answer.head)
        again = replay(
            git, guest.directory, guest.base_tree, chain, head, committer_of(git)
        )  # fmt: skip
        if again.conflicts:
            return None, [guest.prefix + path for path in again.conflicts]
        new_head, commits = again.head, again.commits
    return _Merge(guest, git, host, merged.tree, head, new_head, commits), []


def _in_submodules(guest: GuestTree, old: str, new: str) -> list[bytes]:
    """Files that would be written where a repository within the repository is."""
    links = gitlinks(guest.git, old)
    if not links:
        return []
    changes = changes_between(guest.git, old, new, renames=False)
    return [c.path for c in changes if not c.of_repository and is_below(c.path, links)]


def _place(merges: Sequence[_Merge], vm: str, notices: list[str]) -> ChangeList:
    """Write files and move branches, all or nothing; returns what has changed."""
    changes = ChangeList()
    with ExitStack() as stack:
        staged: list[StagedFiles] = []
        moves: list[Advance] = []
        for merge in merges:
            staged.append(_staged(merge, stack))
            changes.add(changes_between(merge.git, merge.host.tree, merge.tree), merge.guest.prefix)
            notices += _hooks(merge, staged[-1])
            if merge.new_head != merge.head:
                moves.append(_advance(merge))
                stack.enter_context(moves[-1].locked())
        for merge in merges:
            if merge.new_head != merge.head:
                copy_objects(merge.git, merge.new_head, merge.head)
        with all_or_nothing(staged):
            for each in staged:
                each.place()
            for move in moves:
                move.move(f"banger: commits of {vm}")
    return changes


def _staged(merge: _Merge, stack: ExitStack) -> StagedFiles:
    """Raises ``conflict`` for files in the way, and for those that have changed meanwhile."""
    repository = merge.git.repository
    files = stack.enter_context(
        staged_files(merge.git, repository, merge.host.tree, merge.tree)
    )  # fmt: skip
    blocked = files.blocked()
    blocked += merge.host.changed_since({change.path for change in files.changes})
    if blocked:
        raise conflict([merge.guest.prefix + path for path in blocked])
    return files


def _advance(merge: _Merge) -> Advance:
    move = Advance(merge.git, merge.head, merge.new_head)
    staged = move.prepare()
    if staged:
        raise conflict([merge.guest.prefix + path for path in staged])
    return move


def _hooks(merge: _Merge, files: StagedFiles) -> list[str]:
    """A word about changed files that the host's git runs (core.hooksPath in the work tree)."""
    named = merge.git.configuration.get("core.hookspath")
    if not named:
        return []
    top = merge.git.repository.top
    place = Path(os.path.normpath(top / Path(named).expanduser()))
    if not place.is_relative_to(top):
        return []
    below = os.fsencode(place.relative_to(top)) + b"/"
    found = [change.path for change in files.written() if change.path.startswith(below)]
    return [f"git runs {readable(path)} on this host: look at what has changed" for path in found]


def _into_worktree(request: TransferApply, context: JobContext) -> Applied:
    git = open_host(request.workspace, context.directory)
    directory = Path(request.worktree)
    check_directory(git.repository, directory)
    top, *inner = _fetch(request, context, git)
    head, commits = top.base, 0
    if request.commits:
        commits = len(guest_commits(git, top.base, top.answer.head))
        head = top.answer.head
    if not head:
        raise BangerError(
            Code.CONFLICT,
            "the repository has no commit that a worktree could be made of",
            hint="apply without --worktree",
        )
    context.progress("apply", f"writing {printable(str(directory))}")
    if commits:
        copy_objects(git, head, top.base)
    make_worktree(git, directory, head, top.tree)
    changes = ChangeList()
    changes.add(changes_between(git, top.base_tree, top.tree))
    notices = list(top.notices)
    if any(tree.tree != tree.base_tree for tree in inner):
        notices.append("changes in submodules are left out: export them as a patch")
    return Applied(
        workspace=request.workspace,
        host_path=str(directory),
        changes=changes.named,
        more=changes.more,
        commits=commits,
        notices=notices,
    )
