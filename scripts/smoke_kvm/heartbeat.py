"""Whether L1 lives: a program in it writes to L1's console every few seconds, and we look for it.

L1's emulated kernel stops now and then for good, with its VMM still running. ssh then waits without
end, and only the deadline of a step, up to 25 minutes, would notice.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from shared.vm import files

BEAT = "smoke-kvm: L1 is alive"
BEAT_SECONDS = 3
SILENCE_SECONDS = 45.0
"""Fifteen beats: a busy host delays some of them, and a minute is the most that may be lost."""
LOOK_SECONDS = 2.0

_LOOP = f'while echo "{BEAT}" >/dev/console; do sleep {BEAT_SECONDS}; done'
BEGIN_BEATING = f"setsid sh -c '{_LOOP}' </dev/null >/dev/null 2>&1 &"
"""Shell, for L1. The loop outlives the session that starts it."""


class Clock(Protocol):
    """Time as the watchdog sees it."""

    def now(self) -> float:
        """Seconds since some moment."""

    def wait(self, seconds: float) -> bool:
        """Let time pass; True, at once, when the watch is over."""


class Pulse:
    """The time since the number of beats last grew. Pure: the caller says what time it is."""

    def __init__(self, now: float) -> None:
        self._beats = 0
        self._felt_at = now

    def silence(self, beats: int, now: float) -> float:
        """Seconds without a new beat, at ``now``, when ``beats`` have been counted in all."""
        if beats != self._beats:
            self._beats, self._felt_at = beats, now
        return now - self._felt_at


def watch(count: Callable[[], int], clock: Clock, on_loss: Callable[[str], None]) -> None:
    """Count the beats until the watch is over, or ``on_loss`` has been called with the reason."""
    pulse = Pulse(clock.now())
    while not clock.wait(LOOK_SECONDS):
        silence = pulse.silence(count(), clock.now())
        if silence >= SILENCE_SECONDS:
            on_loss(f"L1 has been silent for {silence:.0f} s: it has stopped")
            return


def beats_on(consoles: Path) -> int:
    """How many beats the console logs below this directory hold."""
    return sum(
        log.read_bytes().count(BEAT.encode()) for log in consoles.glob(f"*/{files.CONSOLE_LOG}")
    )


class Watchdog:
    """Runs ``watch`` in a thread, on the machine's own clock."""

    def __init__(self, count: Callable[[], int], on_loss: Callable[[str], None]) -> None:
        self._over = threading.Event()
        clock = MachineClock(self._over)
        self._thread = threading.Thread(target=watch, args=(count, clock, on_loss))
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


class MachineClock:
    """See ``Clock``. The watch is over when ``over`` is set."""

    def __init__(self, over: threading.Event) -> None:
        self._over = over

    def now(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        return self._over.wait(seconds)
