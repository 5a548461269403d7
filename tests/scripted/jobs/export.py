"""An export whose content is its format."""

from pathlib import Path

from shared.contract.messages.workspace import Change, Exported, TransferExport
from shared.workers.job import JobContext
from tests.scripted.jobs import play


def run(request: TransferExport, context: JobContext) -> Exported:
    with Path(request.output).open("wb") as output:
        output.write(f"{request.format} of {request.workspace.guest_path}\n".encode())
        output.flush()
        play(request.workspace.host_path, context)
    changes = [Change(kind="added", path="made")]
    return Exported(workspace=request.workspace, changes=changes, bytes=10, base="a" * 40)
