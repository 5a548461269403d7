"""Trying again: until something is so, or as long as what failed may come back by itself.

The command line uses the half without asyncio and does not pay for importing it.
"""

import math
import time
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from shared.errors import BangerError, Code

T = TypeVar("T")

PAUSE = 0.05
"""Seconds between two looks or tries."""


def poll(look: Callable[[], T], deadline: float, *, pause: float = PAUSE) -> T:
    """What ``look`` returns as soon as that is true in a condition.

    It is called at least once. After ``deadline`` (CLOCK_MONOTONIC) its last, false result is
    returned.
    """
    while True:
        seen = look()
        if seen or time.monotonic() >= deadline:
            return seen
        time.sleep(pause)


async def poll_async(look: Callable[[], T], deadline: float, *, pause: float = PAUSE) -> T:
    """As ``poll``; the event loop runs on between two looks."""
    import asyncio

    while True:
        seen = look()
        if seen or time.monotonic() >= deadline:
            return seen
        await asyncio.sleep(pause)


class RetryWindow:
    """How long a failure is worth another try: ``seconds`` from the first failure on, 0 for none.

    A try that goes well for longer than that before it fails opens the window again. ``codes`` are
    those of failures that pass by themselves; any other is final.
    """

    def __init__(
        self,
        seconds: float = math.inf,
        *,
        codes: Collection[Code] = (Code.UNAVAILABLE,),
        pause: float = PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._codes = codes
        self._pause = pause
        self._clock = clock
        self._last = -math.inf
        self._end = -math.inf

    def is_open(self, error: BangerError) -> bool:
        """Whether to try again after ``error``, which happened just now."""
        now = self._clock()
        if now - self._last >= self._seconds:
            self._end = now + self._seconds
        self._last = now
        return error.code in self._codes and now < self._end

    async def wait_or_raise(self, error: BangerError) -> None:
        """Return when it is time for another try. Raises ``error`` when there is to be none."""
        import asyncio

        if not self.is_open(error):
            raise error
        await asyncio.sleep(self._pause)


async def retry(action: Callable[[], Awaitable[T]], window: RetryWindow) -> T:
    """The result of the first ``action`` that succeeds within ``window``.

    Raises:
        BangerError: the failure of the last try.
    """
    while True:
        try:
            return await action()
        except BangerError as error:
            await window.wait_or_raise(error)
