"""VMs of the pool are given back before anybody is refused memory."""

import asyncio
from collections.abc import Callable

from services.api.context import ApiContext
from shared.errors import BangerError, Code


async def give_back(context: ApiContext, vm_id: str) -> None:
    """Delete a VM of the pool, unless a user has got it meanwhile."""
    context.pool.discard(vm_id)
    try:
        vm = await context.corrections.row(vm_id)
    except BangerError:
        return  # it has ended by itself
    if vm.keeper == "pool":
        context.log.info("VM of the pool is given back", vm=vm_id)
        await context.kept.delete(vm)


async def require_room(context: ApiContext, check: Callable[[], None]) -> None:
    """Return when ``check``, which runs in a thread, has nothing to say. While it misses memory,
    the pool is given back, one VM after the other. Raises what it says then."""
    while True:
        try:
            return await asyncio.to_thread(check)
        except BangerError as error:
            misses_memory = error.code is Code.NO_SPACE and "available" in error.details
            oldest = next(iter(context.pool.waiting), None)
            if not misses_memory or oldest is None:
                raise
        await give_back(context, oldest)
