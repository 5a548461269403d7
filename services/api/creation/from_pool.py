"""A new VM that is there already: one of the pool becomes it.

Whatever goes wrong with one, it is removed, and the next way to a VM is taken. Its user loses
some time and hears of nothing.
"""

import asyncio
import time

from msgspec.structs import replace

from services.api.context import ApiContext
from services.api.creation.reservation import claim, reserve, undo
from services.api.machines.control import Caller
from shared.contract.messages.rows import VmReserve
from shared.contract.messages.vm import Vm
from shared.contract.verbs import supervisor
from shared.errors import BangerError, Code
from shared.vm.handle import read_handle

HAND_OVER_SECONDS = 10.0
"""What a supervisor may take: a little more than it allows the guest."""


async def take(context: ApiContext, wanted: VmReserve, call: Caller) -> Vm:
    """The VM that is wanted: one of the pool, which runs then, or a new row. Raises as
    ``reserve``."""
    while True:
        vm = await _claimed(context, wanted) or await reserve(
            context, await _checked(context, wanted)
        )
        if not waits(context, vm):
            return vm
        call.progress("pool", "taking a VM that is ready")
        if await hand_over(context, vm, call):
            return vm


def waits(context: ApiContext, vm: Vm) -> bool:
    """Whether a user has got this VM, and its guest has not heard of it yet."""
    if vm.keeper or not vm.from_pool or vm.state != "running":
        return False
    handle = read_handle(context.paths.vm_run(vm.id))
    return handle is not None and handle.waits


async def hand_over(context: ApiContext, vm: Vm, call: Caller) -> bool:
    """Let the VM go on as its row says. False: it was of no use, and is gone.

    Raises:
        BangerError: when it could not be removed either, or this api stops.
    """
    request = supervisor.HAND_OVER(vm=vm).at(vm.id)
    deadline = min(call.deadline, time.monotonic() + HAND_OVER_SECONDS)
    try:
        async with context.machines.serialised(vm.id):
            await asyncio.gather(context.ask(request, deadline=deadline), context.apply_network(vm))
        return True
    except (BangerError, asyncio.CancelledError) as error:
        if context.stopping.is_set():
            raise
        cause = str(error) or "whoever wanted it has gone"
        context.log.warning("VM of the pool was of no use", vm=vm.id, error=cause)
        problems = await context.completed(undo(context, vm))
        if problems or isinstance(error, asyncio.CancelledError):
            raise
        return False


async def _claimed(context: ApiContext, wanted: VmReserve) -> Vm | None:
    """A row of the pool, if one fits. The filter for a list of networks is made with the VM."""
    filtered = wanted.network == "user" and wanted.allow
    if filtered or wanted.state != "starting" or not context.pool.has(wanted.template):
        return None
    try:
        vm = await claim(context, wanted)
    except BangerError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        context.pool.clear(wanted.template)
        return None
    context.pool.discard(vm.id)
    return vm


async def _checked(context: ApiContext, wanted: VmReserve) -> VmReserve:
    """Without a template that is not there: while the pool has a VM of it, nobody looks."""
    if wanted.template and not await context.templates.is_there(wanted.template):
        return replace(wanted, template="")
    return wanted
