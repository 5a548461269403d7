"""Files of the user, as the script in the VM's directory says."""

from shared.contract.messages.workspace import FilesSent, TransferFiles
from shared.workers.job import JobContext
from tests.scripted.jobs import play


def run(_request: TransferFiles, context: JobContext) -> FilesSent:
    play(str(context.vm_state), context)
    return FilesSent(sent=1)
