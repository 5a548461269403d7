"""The clean end of a guest: asked by its agent until it follows, ended when it does not."""

import asyncio
import time

from services.vm_supervisor.drivers.driver import Machine
from services.vm_supervisor.guest.agent import Agent
from shared.errors import BangerError
from shared.logs import Log

ASKED_SECONDS = 3.0
"""What the agent gets to accept a power-off."""
AGAIN_SECONDS = 2.0
REFUSALS = 2
"""An agent that did not answer this often is gone, and the VMM is ended."""


async def power_off(machine: Machine, agent: Agent | None, limit: float, log: Log) -> None:
    """Returns when the VMM has ended. ``limit``: CLOCK_MONOTONIC seconds to end it at."""
    asking = asyncio.create_task(_ask(machine, agent, log))
    try:
        async with asyncio.timeout(max(0.0, limit - time.monotonic())):
            await machine.ended()
    except TimeoutError:
        log.warning("the guest did not power off, ending its VMM")
        machine.kill()
        await machine.ended()
    finally:
        asking.cancel()


async def _ask(machine: Machine, agent: Agent | None, log: Log) -> None:
    """Again and again: a guest that has just booted has no init yet to hear it."""
    refused, accepted = 0, False
    while agent and refused < REFUSALS:
        try:
            await agent.power_off(time.monotonic() + ASKED_SECONDS)
            accepted = True
        except BangerError as error:
            if accepted:
                return  # the agent has been stopped: the guest is on its way down
            log.warning("the agent did not take the power-off", error=error.message)
            refused += 1
        await asyncio.sleep(AGAIN_SECONDS)
    machine.kill()
