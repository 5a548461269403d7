"""When to start a process again that has ended: N times in T seconds, with a growing delay.

The terms are Erlang/OTP's (supervisor(3)): more than ``limit`` restarts within ``window`` seconds
means that restarting does not help and that a person has to look.
"""

from collections import deque
from dataclasses import dataclass, field


@dataclass
class RestartPolicy:
    """The history of one process. Times are CLOCK_MONOTONIC seconds and are passed in."""

    limit: int = 10
    window: float = 30.0
    first_delay: float = 0.02
    longest_delay: float = 1.0
    _exits: deque[float] = field(default_factory=deque)

    def after_exit(self, now: float, jitter: float) -> float | None:
        """Seconds to wait before the next start, or None to give up.

        ``jitter`` is a random number from 0 to 1. It keeps processes that ended together from
        starting together.
        """
        self._exits.append(now)
        while self._exits and now - self._exits[0] > self.window:
            self._exits.popleft()
        if len(self._exits) > self.limit:
            return None
        delay = min(self.longest_delay, self.first_delay * 2.0 ** (len(self._exits) - 1))
        return delay * (0.5 + jitter / 2)

    def forget(self) -> None:
        """A person has asked for a start: earlier ends do not count."""
        self._exits.clear()
