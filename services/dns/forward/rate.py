"""Limits per guest, for questions and for log lines. Pure; times are monotonic seconds."""

from collections.abc import Container
from dataclasses import dataclass

PER_SECOND, BURST = 200.0, 400.0
LOG_INTERVAL = 60.0
"""Seconds between two log lines with the same message."""


@dataclass
class _Bucket:
    tokens: float
    filled: float


class QuestionRates:
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

    def keep_only(self, guests: Container[str]) -> None:
        self._buckets = {guest: b for guest, b in self._buckets.items() if guest in guests}


class LogLimiter:
    """Limits the log lines about each guest, so that a hostile one does not fill the log."""

    def __init__(self) -> None:
        self._logged: dict[tuple[str, str], float] = {}

    def may_log(self, guest: str, what: str, now: float) -> bool:
        """Whether to log ``what`` about this guest now; the next time is a minute later."""
        if now - self._logged.get((guest, what), float("-inf")) < LOG_INTERVAL:
            return False
        self._logged[guest, what] = now
        return True

    def keep_only(self, guests: Container[str]) -> None:
        self._logged = {key: at for key, at in self._logged.items() if key[0] in guests}
