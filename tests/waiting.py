"""How tests wait: a question is asked again and again until its answer is true or time is over.

Every layer waits by these two functions, and by ``Deadline`` where it has a loop of its own. Time
comes from a ``Clock``; with a ``VirtualClock`` what waits is tested without waiting.
"""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")

PATIENCE = 15.0
"""Seconds a test waits for something that happens in another process."""
POLL_SECONDS = 0.02


class Clock(Protocol):
    """What time it is, and letting it pass."""

    def now(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed."""


class MachineClock:
    """The machine's own, which is never set back."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class VirtualClock:
    """Time that passes by sleeping only, and at once."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


MACHINE = MachineClock()


class Deadline:
    """The end of ``seconds`` that begin now."""

    def __init__(self, seconds: float, clock: Clock = MACHINE) -> None:
        self._clock = clock
        self._end = clock.now() + seconds

    def left(self) -> float:
        """Seconds; negative when it is over."""
        return self._end - self._clock.now()

    @property
    def is_over(self) -> bool:
        return self.left() <= 0


def last_answer(
    question: Callable[[], T],
    *,
    patience: float = PATIENCE,
    every: float = POLL_SECONDS,
    clock: Clock = MACHINE,
) -> T:
    """The first true answer; when there is none in ``patience`` seconds, the last false one.

    The question is asked once at least, and once more after the end: a machine that was busy with
    other things for the whole time fails nobody.
    """
    deadline = Deadline(patience, clock)
    while not (answer := question()):
        if deadline.is_over:
            return answer
        clock.sleep(every)
    return answer


def eventually(
    question: Callable[[], T],
    what: str = "",
    *,
    patience: float = PATIENCE,
    every: float = POLL_SECONDS,
    clock: Clock = MACHINE,
) -> T:
    """Like ``last_answer``, and fails the test without a true answer. ``what``: for that message.

    Raises:
        AssertionError: what was asked, for how long, and the last answer.
    """
    answer = last_answer(question, patience=patience, every=every, clock=clock)
    if not answer:
        asked = what or _place_of(question)
        raise AssertionError(f"{asked}: not within {patience:g} s; the last answer was {answer!r}")
    return answer


def _place_of(question: Callable[[], object]) -> str:
    """Where a question stands in the source; a lambda has no other name."""
    code = getattr(question, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else str(question)
