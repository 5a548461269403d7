"""How much one guest may ask, and how much is said about it. Pure; times are monotonic seconds."""

from collections.abc import Container
from dataclasses import dataclass

PER_SECOND, BURST = 200.0, 400.0
SPEAK_EVERY = 60.0
"""Seconds between two lines of the log about the same thing."""


@dataclass
class _Bucket:
    tokens: float
    filled: float


class Rates:
    """A token bucket for each guest, by its id."""

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, guest: str, now: float) -> bool:
        """Whether this guest may ask one more question now."""
        bucket = self._buckets.setdefault(guest, _Bucket(BURST, now))
        bucket.tokens = min(BURST, bucket.tokens + (now - bucket.filled) * PER_SECOND)
        bucket.filled = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def forget_all_but(self, guests: Container[str]) -> None:
        self._buckets = {guest: b for guest, b in self._buckets.items() if guest in guests}


class Quiet:
    """What was said of each guest, so that a hostile one does not fill the log."""

    def __init__(self) -> None:
        self._spoken: dict[tuple[str, str], float] = {}

    def may_say(self, guest: str, what: str, now: float) -> bool:
        """Whether it is time to say ``what`` about this guest; then it is not for a minute."""
        if now - self._spoken.get((guest, what), float("-inf")) < SPEAK_EVERY:
            return False
        self._spoken[guest, what] = now
        return True

    def forget_all_but(self, guests: Container[str]) -> None:
        self._spoken = {key: at for key, at in self._spoken.items() if key[0] in guests}
