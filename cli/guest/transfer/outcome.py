"""What became of a copy: what was moved, what was not, and the one error that says so."""

import time
from collections.abc import Callable
from typing import Any

from shared.errors import BangerError

KEPT = 20
"""Failures that are told apart; the others are counted."""
SHOWN = 3
SHOW_AFTER_SECONDS = 1.0
SHOW_EVERY_SECONDS = 0.25

Show = Callable[[dict[str, Any]], None]
"""Takes progress: {stage, message, fraction?}."""


class CopyOutcome:
    """Counts what is copied, shows it while that takes long, and keeps what failed."""

    def __init__(self, show: Show) -> None:
        self.files = 0
        self.size = 0
        self.total: int | None = None
        """Bytes to copy, where that is known."""
        self.number_failed = 0
        self.cut_off = False
        """Whether the guest's programs failed, so that nobody knows what they had done."""
        self._failures: list[BangerError] = []
        self._show = show
        self._began = time.monotonic()
        self._next = self._began + SHOW_AFTER_SECONDS

    def failed(self, error: BangerError) -> None:
        """Something was not copied; the rest is."""
        self.number_failed += 1
        if len(self._failures) < KEPT:
            self._failures.append(error)

    def moved(self, size: int) -> None:
        """So many bytes more have been copied."""
        self.size += size
        now = time.monotonic()
        if now >= self._next:
            self._next = now + SHOW_EVERY_SECONDS
            rate = self.size / (now - self._began) / 1e6
            partial: dict[str, Any] = {
                "stage": "copy",
                "message": f"{self.size / 1e6:.0f} MB, {rate:.1f} MB/s",
            }
            if self.total:
                partial["fraction"] = min(1.0, self.size / self.total)
            self._show(partial)

    def finish(self) -> None:
        """Raises what failed, as one error with the code of the first."""
        if not self._failures:
            return
        first = self._failures[0]
        texts = [each.message for each in self._failures]
        more = self.number_failed - SHOWN
        message = "; ".join(texts[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
        rest = "everything else was copied" if self.files and not self.cut_off else ""
        raise BangerError(
            first.code,
            message,
            hint="; ".join(filter(None, (first.hint, rest))),
            details={**first.details, "failed": texts, "number_failed": self.number_failed},
        )
