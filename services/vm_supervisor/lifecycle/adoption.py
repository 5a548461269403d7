"""A VMM that an earlier supervisor launched, taken over."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.launch.launcher import Guest, VmmLauncher
from services.vm_supervisor.launch.readiness import open_session, reach_agent
from services.vm_supervisor.lifecycle.rediscovery import rediscover
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.vm.handle import read_handle, remove_handle

AGENT_AGAIN = 5.0
"""Seconds between attempts to reach the guest."""
UPLINK_SECONDS = 10.0


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


async def set_uplink(guest: Guest, vm: Vm) -> None:
    """Open or close the guest's way out as the row says; in bridge mode that is nat's."""
    network = guest.machine.user_network
    if network and vm.network == "user":
        await network.set_uplink(on=vm.nat)


async def restore_uplink(guest: Guest, vm: Vm, log: Log) -> None:
    """``set_uplink`` after a takeover: the process that changed the row may have died before it
    told the VMM."""
    try:
        async with asyncio.timeout(UPLINK_SECONDS):
            await set_uplink(guest, vm)
    except (BangerError, TimeoutError) as error:
        log.warning("the guest's way out may not be what it should", error=str(error))


async def reach_again(
    guest: Guest, disks: Path, seconds: float, log: Log, reached: Callable[[Agent], None]
) -> None:
    """A guest that is slow to answer is not dead: it is asked, ``seconds`` each time, until it
    answers. ``reached`` is called before sshd has answered, which it may not any more."""
    agent: Agent | None = None
    while True:
        deadline = time.monotonic() + seconds
        try:
            if agent is None:
                agent = await reach_agent(guest, deadline)
                reached(agent)
            await open_session(guest, disks, deadline)
            return
        except BangerError as error:
            log.warning("the guest does not answer yet", error=error.message)
            await asyncio.sleep(AGENT_AGAIN)
