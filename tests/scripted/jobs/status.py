"""A status, as the script says."""

from shared.contract.messages.workspace import Change, TransferStatus, WorkspaceStatus
from shared.workers.job import JobContext
from tests.scripted.jobs import play


def run(request: TransferStatus, context: JobContext) -> WorkspaceStatus:
    play(request.workspace.host_path, context)
    return WorkspaceStatus(
        workspace=request.workspace,
        guest=[Change(kind="added", path="made"), Change(kind="deleted", path="gone")],
        host=[Change(kind="modified", path="edited")],
    )
