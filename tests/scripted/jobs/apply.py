"""An apply, as the script says."""

from shared.contract.messages.workspace import Applied, Change, TransferApply
from shared.workers.job import JobContext
from tests.scripted.jobs import play


def run(request: TransferApply, context: JobContext) -> Applied:
    play(request.workspace.host_path, context)
    changes = [Change(kind="added", path="made")]
    path = request.worktree or request.workspace.host_path
    return Applied(workspace=request.workspace, host_path=path, changes=changes)
