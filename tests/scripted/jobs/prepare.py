"""A prepare or sync, as the script says."""

from shared.contract.messages.workspace import Prepared, TransferPrepare, Workspace
from shared.workers.job import JobContext
from tests.scripted.jobs import play


def run(request: TransferPrepare, context: JobContext) -> Prepared:
    play(request.path, context)
    workspace = Workspace(
        host_path=request.path, guest_path=request.guest_path, commit="a" * 40, branch="main"
    )
    return Prepared(workspace=workspace, files=3, bytes=300, notices=["as the script says"])
