"""The row of a VM that is being made: taken, and given back when it cannot be made."""

import asyncio
import contextlib
from typing import Any

from services.api.context import ApiContext
from services.api.machines.idleness import limit_of
from services.api.machines.removal import remove
from shared.contract.messages.rows import PoolClaim, VmReserve
from shared.contract.messages.vm import Vm
from shared.contract.verb import Request
from shared.contract.verbs import store
from shared.errors import BangerError
from shared.logs import now_rfc3339


def reservation(
    context: ApiContext,
    new_id: str,
    names: list[str],
    request_id: str,
    spec: dict[str, Any],
    *,
    starts: bool,
) -> VmReserve:
    """``request_id``: sent again after a crash, it gives the same VM. ``spec``: by its fields."""
    config = context.config
    mode = config.network_mode
    return VmReserve(
        id=new_id,
        names=names,
        network=mode,
        subnet=str(config.user_network) if mode == "user" else config.nat.subnet,
        request_id=request_id,
        state="starting" if starts else "created",
        touched_at=now_rfc3339() if starts else "",
        **spec,
    )


async def reserve(context: ApiContext, wanted: VmReserve) -> Vm:
    """A new row. Raises as the store."""
    return await _row(context, store.VM_RESERVE.of(wanted))


async def claim(context: ApiContext, wanted: VmReserve) -> Vm:
    """The row of a VM of the pool. Raises as the store: ``not_found`` when there is none."""
    fields = {name: getattr(wanted, name) for name in PoolClaim.__struct_fields__}
    return await _row(context, store.VM_CLAIM.of(PoolClaim(**fields)))


async def _row(context: ApiContext, request: Request[Vm]) -> Vm:
    """A request that is cancelled here may still make the row; then the VM is removed. When this
    api stops, the row stays: the caller asks the next api again."""
    asking = asyncio.ensure_future(context.ask(request))
    try:
        vm = await asyncio.shield(asking)
        if limit_of(vm, context.config.idle_suspend_after):
            context.limits_changed.set()
        return vm
    except asyncio.CancelledError:
        if context.stopping.is_set():
            raise
        with contextlib.suppress(BangerError):
            await undo(context, await asking)
        raise


async def undo(context: ApiContext, vm: Vm) -> list[str]:
    """Remove a VM; returns what went wrong. One that could not be ended keeps files and row."""
    try:
        await context.machines.end(vm)
        problems = [str(each) for each in await remove(vm, context.ask, context.paths)]
    except BangerError as error:
        problems = [str(error)]
    for words in problems:
        context.log.error("undo failed", vm=vm.id, problem=words)
    return problems


async def undo_creation(context: ApiContext, vm: Vm, error: BaseException) -> None:
    """Remove a VM whose VMM never ran; keep one that failed, or whose systemd did, for a
    post-mortem."""
    try:
        row = await context.corrections.row(vm.id)
    except BangerError:
        return  # deleted meanwhile
    if isinstance(error, BangerError) and row.state in ("failed", "running"):
        error.details["kept"] = vm.name
        try:
            await context.end_lease(row)
        except BangerError as problem:  # the first error is what the caller has to hear
            error.details["undo_errors"] = [str(problem)]
        error.hint = f"{error.hint}; delete it with: banger vm delete {vm.name}".lstrip("; ")
        return
    problems = await undo(context, vm)
    if problems and isinstance(error, BangerError):
        error.details["undo_errors"] = problems
        error.message += f" (and undoing it failed: {'; '.join(problems)})"
