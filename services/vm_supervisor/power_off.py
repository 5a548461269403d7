"""The clean end of a guest: asked by its agent until it follows, ended when it does not."""

import asyncio
import signal
import time
from collections.abc import Callable

from services.vm_supervisor.boot import Guest
from services.vm_supervisor.drivers.driver import Machine
from services.vm_supervisor.guest.agent import Agent
from shared.errors import BangerError
from shared.logs import Log

ASKED_SECONDS = 3.0
"""What the agent gets to accept a power-off."""
AGAIN_SECONDS = 2.0
REACHED_SECONDS = 0.1
"""Between looks for the agent of a VMM that was taken over a moment ago."""
TERM_SECONDS = 2.0
"""What a VMM gets to end by itself."""


async def power_off(
    guest: Guest, agent: Callable[[], Agent | None], limit: float, log: Log
) -> None:
    """Returns when the VMM has ended. ``agent``: the guest's, once it has been reached.
    ``limit``: CLOCK_MONOTONIC seconds to end the VMM at."""
    machine = guest.machine
    asking = asyncio.create_task(_ask(guest, agent, log))
    try:
        async with asyncio.timeout(max(0.0, limit - time.monotonic())):
            await machine.ended()
    except TimeoutError:
        log.warning("the guest did not power off, ending its VMM")
        await _end(machine)
    finally:
        asking.cancel()


async def _ask(guest: Guest, agent: Callable[[], Agent | None], log: Log) -> None:
    """Again and again: a guest that has just booted has no init yet to hear it, one that swaps is
    slow to answer, and a new supervisor has to reach the agent first. Only a guest that was never
    ready has nothing to lose: its VMM is ended at once."""
    accepted, by_reset = False, not guest.capabilities.power_off
    while guest.handle.ready:
        reached = agent()
        if reached is None:
            await asyncio.sleep(REACHED_SECONDS)
            continue
        try:
            await reached.power_off(time.monotonic() + ASKED_SECONDS, by_reset=by_reset)
            accepted = True
        except BangerError as error:
            if accepted:
                return  # the agent has been stopped: the guest is on its way down
            log.warning("the agent did not take the power-off", error=error.message)
        await asyncio.sleep(AGAIN_SECONDS)
    await _end(guest.machine)


async def _end(machine: Machine) -> None:
    """Let the VMM write what it holds; one that hangs gets no second chance."""
    machine.kill(signal.SIGTERM)
    try:
        await asyncio.wait_for(machine.ended(), TERM_SECONDS)
    except TimeoutError:
        machine.kill()
        await machine.ended()
