"""How many frames a relay takes from a guest in a while.

A guest can send frames without end, and a supervisor's time is outside the limits of its VM. What
is beyond the budget waits in the kernel's short queue, and then in the guest's own device.
"""

import time
from collections.abc import Callable

FRAMES_PER_SECOND = 8000
"""A frame takes some 20 µs, so a sixth of a processor at most; 90 Mbit/s in full frames."""
SHARE_SECONDS = 0.05
"""A share of the budget is spent before the next one is there."""


class FrameBudget:
    """``clock``: monotonic seconds."""

    def __init__(
        self, rate: int = FRAMES_PER_SECOND, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._share = max(1, round(rate * SHARE_SECONDS))
        self._clock = clock
        self._left = self._share
        self._until = clock() + SHARE_SECONDS

    def take(self) -> bool:
        """Whether one more frame may be taken now."""
        if self._left == 0 and self.wait() == 0.0:
            self._left = self._share
            self._until = self._clock() + SHARE_SECONDS
        if self._left == 0:
            return False
        self._left -= 1
        return True

    def wait(self) -> float:
        """Seconds until the next share is there."""
        return max(0.0, self._until - self._clock())
