"""A VMM that an earlier supervisor launched, taken over."""

from services.vm_supervisor.boot import Guest, VmmLauncher
from services.vm_supervisor.rediscovery import rediscover
from shared.errors import BangerError, Code
from shared.handle import read_handle, remove_handle
from shared.messages.vm import Vm


async def adopt(launcher: VmmLauncher, vm: Vm) -> Guest | None:
    """The VM's guest; None when there is none, and no handle then."""
    run = launcher.paths.vm_run(vm.id)
    handle = read_handle(run) or rediscover(vm, launcher.paths)
    if handle and handle.alive:
        try:
            return await launcher.adopt(handle)
        except BangerError as error:
            # not_running: it ended this moment, or its guest was never started.
            if error.code is not Code.NOT_RUNNING:
                raise
    remove_handle(run)
    return None
