"""Bounded patience: observe until nothing contradicts, or the time is over."""

from collections.abc import Callable

from tests.chaos.core import Observed, contradictions
from tests.waiting import MACHINE, Clock

SETTLE_SECONDS = 15.0
BOOT_SECONDS = 150.0
"""For a VM that is on its way up: an emulated guest on a shared machine."""
PAUSE = 0.1


def settle(
    look: Callable[[], Observed], clock: Clock = MACHINE
) -> tuple[Observed, list[str], float]:
    """The last observation, what contradicts in it still, and how long it took.

    While a VM boots (a client asked for it) the patience is the boot's; else a quarter minute. It
    is counted from the end of the first look, which may have started the services, and there is a
    second one however long that took.
    """
    started = clock.now()
    seen = look()
    first = clock.now()
    limit = first + SETTLE_SECONDS
    while contradictions(seen):
        clock.sleep(PAUSE)
        seen = look()
        now = clock.now()
        if any(row.state in ("starting", "stopping") for row in seen.rows):  # booting
            limit = min(first + BOOT_SECONDS, now + SETTLE_SECONDS)
        if now > limit:
            break
    return seen, contradictions(seen), clock.now() - started
