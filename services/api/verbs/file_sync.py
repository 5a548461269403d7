"""``[[file_sync]]``: files of the user go into each guest that has just started."""

import asyncio
import time

from services.api.context import ApiContext
from shared.bus.handlers import Call
from shared.contract.messages.vm import Vm
from shared.contract.messages.workspace import Target
from shared.contract.verbs import workspaces
from shared.errors import BangerError


async def send_files(context: ApiContext, vm: Vm, call: Call) -> list[str]:
    """Send them to a VM that runs, if there are any; sentences about what did not go in.

    Nothing of it is the boot's failure. A caller that is cancelled goes on without the rest, since
    the guest has answered by then.
    """
    access = context.view(vm).access if context.config.file_sync else None
    if access is None:
        return []
    target = Target(vm_id=vm.id, vm_name=vm.name, access=access)
    request = workspaces.FILES(target=target)
    deadline = min(call.deadline, time.monotonic() + request.seconds)
    call.progress("files", "sending the files of file_sync")
    try:
        return (await context.ask(request, deadline=deadline)).notices
    except BangerError as error:
        problem = error.to_line()
    except asyncio.CancelledError:
        if context.stopping.is_set():
            raise
        problem = "it was cancelled"
    context.log.warning("files of file_sync not sent", vm=vm.id, problem=problem)
    return [f"the files of file_sync are not in {vm.name}: {problem}"]
