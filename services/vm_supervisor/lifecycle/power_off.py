"""The clean end of a guest: its agent is asked until the guest follows, else the VMM is ended."""

import asyncio
import signal
import time
from collections.abc import Callable

from services.vm_supervisor.drivers.contract import Machine
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.running_vm import RunningVm
from shared.errors import BangerError, Code
from shared.logs import Log

ASKED_SECONDS = 3.0
"""What the agent gets to accept a power-off."""
AGAIN_SECONDS = 1.0
"""Between two requests to power off."""
REACHED_SECONDS = 0.1
"""Between looks for the agent of a VMM that was taken over a moment ago."""
TERM_SECONDS = 2.0
"""What a VMM gets to end by itself after SIGTERM."""


class PowerOff:
    """One stop. ``agent`` gives the guest's agent once it has been reached; ``paused``: nothing in
    the guest runs before it is resumed."""

    def __init__(
        self,
        running: RunningVm,
        agent: Callable[[], Agent | None],
        log: Log,
        *,
        paused: bool = False,
    ) -> None:
        self.accepted = False
        """Whether the guest's agent took the request."""
        self.may_follow = False
        """Whether the guest may power off at any time from now on: a request has reached it, or may
        have."""
        self._running = running
        self._agent = agent
        self._log = log
        self._paused = paused
        self._ending: asyncio.Task[None] | None = None

    @property
    def forced(self) -> bool:
        """Whether the VMM has been signalled. Then it ends, whoever waits for it."""
        return self._ending is not None

    async def run(self, limit: float) -> None:
        """Return when the VMM has ended; at ``limit`` (CLOCK_MONOTONIC seconds) it is ended."""
        asking = asyncio.create_task(self._ask())
        try:
            async with asyncio.timeout(max(0.0, limit - time.monotonic())):
                await self._running.machine.ended()
        except TimeoutError:
            self._log.warning("the guest did not power off, ending its VMM")
            await self._end()
        finally:
            asking.cancel()

    async def _ask(self) -> None:
        """Ask again and again: a guest that has just booted has no init yet to hear the request,
        one that swaps is slow to answer, and a new supervisor has to reach the agent first. Only a
        guest that was never ready has nothing to lose: its VMM is ended at once."""
        by_reset = not self._running.info.powers_off
        if self._paused:
            await self._resume()
        while self._running.handle.ready:
            agent = self._agent()
            if agent is None:
                await asyncio.sleep(REACHED_SECONDS)
                continue
            asked_before, self.may_follow = self.may_follow, True
            try:
                await agent.power_off(time.monotonic() + ASKED_SECONDS, by_reset=by_reset)
                self.accepted = True
            except BangerError as error:
                if self.accepted:
                    return  # the agent has been stopped: the guest is on its way down
                self.may_follow = asked_before or error.code is Code.TIMEOUT
                self._log.warning("the agent did not take the power-off", error=error.message)
            await asyncio.sleep(AGAIN_SECONDS)
        await self._end()

    async def _resume(self) -> None:
        try:
            await self._running.machine.resume()
        except BangerError as error:
            self._log.warning("the guest was not resumed for its stop", error=error.message)

    async def _end(self) -> None:
        """A caller that is cancelled does not take this back."""
        self._ending = self._ending or asyncio.create_task(_end(self._running.machine))
        await asyncio.shield(self._ending)


async def _end(machine: Machine) -> None:
    """SIGTERM lets the VMM write what it holds; SIGKILL ends one that hangs."""
    machine.kill(signal.SIGTERM)
    try:
        await asyncio.wait_for(machine.ended(), TERM_SECONDS)
    except TimeoutError:
        machine.kill()
        await machine.ended()
