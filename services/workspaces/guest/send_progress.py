"""What is said while a repository goes into a guest: the stage and the bytes, now and then."""

import time
from collections.abc import Callable

INTERVAL_SECONDS = 0.3
STAGES = {
    "overlay": "sending changed files",
    "history": "sending history",
    "files": "the guest writes its files",
}


class SendProgress:
    """Passes on what happens: each stage at once, and bytes at most every ``INTERVAL_SECONDS``.

    ``report`` takes a stage and what is said of it. ``bytes`` counts everything that is sent.
    """

    def __init__(
        self, report: Callable[[str, str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._report = report
        self._clock = clock
        self._stage = ""
        self._of_stage = 0
        self._said_at = 0.0
        self.bytes = 0

    def stage(self, name: str) -> None:
        """A new stage: one of ``STAGES``; others, which a guest may say, are left out."""
        if name in STAGES and name != self._stage:
            self._stage, self._of_stage = name, 0
            self._said_at = self._clock()
            self._report(name, STAGES[name])

    def sent(self, count: int) -> None:
        """So many more bytes."""
        self.bytes += count
        self._of_stage += count
        now = self._clock()
        if self._stage and now - self._said_at >= INTERVAL_SECONDS:
            self._said_at = now
            self._report(self._stage, f"{STAGES[self._stage]}: {_megabytes(self._of_stage)}")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
