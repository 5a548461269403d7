"""What has changed since a workspace was placed: in the guest, and on the host."""

from services.workspaces.applying.advance import current_head
from services.workspaces.applying.host_tree import host_tree
from services.workspaces.incoming.changes import ChangeList, changes_between
from services.workspaces.incoming.fetch import (
    GuestTree,
    fetch_alone,
    fetch_workspace,
    open_host,
)
from shared.contract.messages.workspace import TransferStatus, Workspace, WorkspaceStatus
from shared.errors import BangerError
from shared.workers.job import JobContext


def run(request: TransferStatus, context: JobContext) -> WorkspaceStatus:
    """Changes nothing on either side. Without the host's repository, only the guest's are told."""
    workspace = request.workspace
    try:
        git = open_host(workspace, context.directory)
    except BangerError as error:
        alone = fetch_alone(request.target.access, workspace, context.directory)
        return _status(workspace, [alone], problem=error.to_line())
    trees = fetch_workspace(request.target.access, workspace, git, context.directory)
    status = _status(workspace, trees)
    host = ChangeList()
    try:
        for tree in trees:
            assert tree.host
            now = host_tree(tree.host, tree.placed, tree.placed).tree
            found = changes_between(tree.git, tree.placed, now)
            host.add((each for each in found if not each.of_repository), tree.prefix)
    except BangerError as error:
        status.host_problem = error.to_line()
    status.host, status.host_more = host.named, host.more
    status.host_commit = current_head(git)
    return status


def _status(workspace: Workspace, trees: list[GuestTree], problem: str = "") -> WorkspaceStatus:
    guest = ChangeList()
    for tree in trees:
        guest.add(changes_between(tree.git, tree.placed, tree.tree), tree.prefix)
    return WorkspaceStatus(
        workspace=workspace,
        guest=guest.named,
        guest_more=guest.more,
        guest_commits=sum(tree.answer.commits for tree in trees),
        guest_branch=trees[0].answer.branch,
        host_problem=problem,
    )
