"""The start of a new VM: from a template, or by a boot when there is none, or it is of no use."""

import asyncio

from msgspec.structs import replace

from services.api.context import ApiContext
from services.api.machines.control import Caller
from services.api.machines.removal import remove_files
from services.api.templates.templates import TemplateKey
from shared.contract.messages.machine import MachineState
from shared.contract.messages.vm import Vm
from shared.contract.verbs import store
from shared.errors import BangerError, Code

OF_NO_USE = (Code.INVALID, Code.INCOMPATIBLE)
"""Errors of a template that nobody will ever start from."""
NOT_ITS_FAULT = (Code.CANCELLED, Code.UNAVAILABLE, Code.TIMEOUT)


async def start_new(
    context: ApiContext, vm: Vm, wanted: TemplateKey | None, call: Caller, *, is_new: bool
) -> tuple[Vm, MachineState]:
    """Bring up a new VM: from ``vm.template`` if it has one, else by a boot, after which a template
    of the key ``wanted`` is. The row as it is then, and what the supervisor says.

    Raises:
        BangerError: as ``Machines.boot``.
    """
    if vm.template:
        try:
            return vm, await start_from(context, vm, vm.template, call, is_new=is_new)
        except BangerError as error:
            vm = await _without_template(context, vm, error)
            is_new = False
    told = await context.machines.boot(vm, call, is_new=is_new)
    if wanted:
        context.templates.want(wanted, vm)
    return vm, told


async def start_from(
    context: ApiContext, vm: Vm, key: str, call: Caller, *, is_new: bool
) -> MachineState:
    """Make the new row ``vm`` a running copy of a template, with an identity of its own."""
    call.progress("template", f"starting from template {key}")
    saved = str(context.templates.place(key))
    told = await context.machines.boot(vm, call, is_new=is_new, saved=saved, checked=True)
    context.spawn(asyncio.to_thread(context.templates.library.note_use, key))
    return told


async def _without_template(context: ApiContext, vm: Vm, error: BangerError) -> Vm:
    """The row of a VM that did not come up from its template, as it was before. Raises ``error``
    when a boot would be of no use either."""
    if context.stopping.is_set() or error.code in NOT_ITS_FAULT:
        raise error
    context.log.warning("not started from its template", vm=vm.id, error=str(error))
    if error.code in OF_NO_USE:
        await asyncio.to_thread(context.templates.library.remove, vm.template)
    else:
        context.templates.strike(vm.template)
    await context.machines.end(vm, forget=True)
    await remove_files(vm, context.paths)
    spec = replace(vm, template="")
    return await context.ask(store.VM_UPDATE(id=vm.id, spec=spec, state="starting", reason=""))
