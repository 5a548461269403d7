"""A plan of what the script says."""

from shared.contract.messages.workspace import WorkspacePlan, WorkspacePlanRequest
from shared.workers.job import JobContext
from tests.scripted.jobs import play


def run(request: WorkspacePlanRequest, context: JobContext) -> WorkspacePlan:
    play(request.path, context)
    return WorkspacePlan(
        host_path=request.path, guest_path=request.guest_path, mode="shallow", commit="a" * 40
    )
