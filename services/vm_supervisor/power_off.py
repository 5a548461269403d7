"""The clean end of a guest: asked by its agent until it follows, ended when it does not."""

import asyncio
import signal
import time

from services.vm_supervisor.boot import Guest
from services.vm_supervisor.drivers.driver import Machine
from services.vm_supervisor.guest.agent import Agent
from shared.errors import BangerError
from shared.logs import Log

ASKED_SECONDS = 3.0
"""What the agent gets to accept a power-off."""
AGAIN_SECONDS = 2.0
TERM_SECONDS = 2.0
"""What a VMM gets to end by itself."""
REFUSALS = 2
"""An agent that did not answer this often is gone, and the VMM is ended."""


async def power_off(guest: Guest, agent: Agent | None, limit: float, log: Log) -> None:
    """Returns when the VMM has ended. ``limit``: CLOCK_MONOTONIC seconds to end it at."""
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


async def _ask(guest: Guest, agent: Agent | None, log: Log) -> None:
    """Again and again: a guest that has just booted has no init yet to hear it."""
    refused, accepted = 0, False
    by_reset = not guest.capabilities.power_off
    while agent and refused < REFUSALS:
        try:
            await agent.power_off(time.monotonic() + ASKED_SECONDS, by_reset=by_reset)
            accepted = True
        except BangerError as error:
            if accepted:
                return  # the agent has been stopped: the guest is on its way down
            log.warning("the agent did not take the power-off", error=error.message)
            refused += 1
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
