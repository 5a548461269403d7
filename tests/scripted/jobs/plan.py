"""A plan of what the script says."""

from services.workspaces.job import JobContext
from shared.contract.messages.workspace import WorkspacePlan, WorkspacePlanRequest
from tests.scripted.jobs import play


def run(request: WorkspacePlanRequest, context: JobContext) -> WorkspacePlan:
    play(request.path, context)
    return WorkspacePlan(
        host_path=request.path, guest_path=request.guest_path, mode="shallow", commit="a" * 40
    )
