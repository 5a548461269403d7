"""The guest's clock, set by the host's.

An emulated guest reads the time from a real-time clock when it boots, which counts whole seconds.
So a guest is behind by half a second on average, and by as long as it has stood still. Its clock is
moved by a difference (guest/adjust.py), so it does not matter when the guest comes to do so: the
error is half of what the question for the guest's time takes, at most.
"""

import secrets
import time

from services.vm_supervisor.guest import adjust
from services.vm_supervisor.guest.agent import Agent
from shared.errors import BangerError, Code

NEAR_US = 5_000
"""A difference that is left as it is."""
_QUICK_NS = 40_000_000
"""A question that takes no longer is not asked again: the error is below 20 ms."""
_QUESTIONS = 5


async def measure_lag(agent: Agent, deadline: float) -> int:
    """By how many microseconds the guest's clock is behind. Raises as the agent's calls."""
    quickest, lag = 1 << 63, 0
    for _ in range(_QUESTIONS):
        asked = time.time_ns()
        guest = await agent.get_time(deadline)
        taken = time.time_ns() - asked
        if taken < quickest:
            quickest, lag = taken, asked + taken // 2 - guest
        if taken <= _QUICK_NS:
            break
    return lag // 1000


async def set_clock(agent: Agent, deadline: float) -> None:
    """Set the guest's clock; its random pool gets some of the host's entropy with it.

    Raises:
        BangerError: ``guest_failed``, ``timeout``.
    """
    lag = await measure_lag(agent, deadline)
    if abs(lag) < NEAR_US:
        return
    message = adjust.message(lag, secrets.token_bytes(adjust.SEED_BYTES))
    try:
        executed = await agent.execute(adjust.ARGV, deadline, stdin=message)
    except BangerError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        await agent.set_time(deadline)  # the guest was booted by an older banger
        return
    if executed.status:
        raise BangerError(
            Code.GUEST_FAILED, f"the guest cannot set its clock (error {executed.status})"
        )
