"""Bounded patience: observe until nothing contradicts, or the time is over."""

import time
from collections.abc import Callable

from tests.chaos.core import Observed, contradictions

SETTLE_SECONDS = 15.0
BOOT_SECONDS = 150.0
"""For a VM that is on its way up: an emulated guest on a shared machine."""
PAUSE = 0.1


def settle(look: Callable[[], Observed]) -> tuple[Observed, list[str], float]:
    """The last observation, what contradicts in it still, and how long it took.

    While a VM boots (a client asked for it) the patience is the boot's; else a quarter minute.
    """
    started = time.monotonic()
    limit = started + SETTLE_SECONDS
    while True:
        seen = look()
        found = contradictions(seen)
        now = time.monotonic()
        if not found:
            return seen, [], now - started
        booting = any(row.state in ("starting", "stopping") for row in seen.rows)
        if booting:
            limit = min(started + BOOT_SECONDS, now + SETTLE_SECONDS)
        if now > limit:
            return seen, found, now - started
        time.sleep(PAUSE)
