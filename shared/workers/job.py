"""What a job is given to work with, how it reports, and how it is cancelled.

A cancel is SIGTERM to the worker alone: its children go on until the job ends them, which a
``finally`` does. What is left of them when the worker has ended is killed by the service.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType


class Cancelled(BaseException):
    """Raised in the worker's main thread by SIGTERM, so that every ``finally`` runs."""


@dataclass(frozen=True)
class JobContext:
    """Of one job, which has a process to itself."""

    directory: Path
    """Private, on disk, and removed afterwards by the service, whatever becomes of the worker."""
    progress: Callable[[str, str], None]
    """Takes a stage ("history", "files", …) and what is said of it."""
    vm_state: Path | None = None
    """The VM's state directory; None for a job that is about no VM."""


class _Cancellation:
    """Whether a cancel has come, and whether it has to wait."""

    wanted = False
    held = 0


def take_cancels() -> None:
    """Let SIGTERM raise ``Cancelled`` from here on. For the main thread."""
    _Cancellation.wanted, _Cancellation.held = False, 0
    signal.signal(signal.SIGTERM, _on_signal)


def ignore_cancels() -> None:
    """Let SIGTERM do nothing from here on: the job is over, and its outcome is on its way."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    _Cancellation.wanted = True
    if not _Cancellation.held:
        raise Cancelled


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Inside, a cancel waits: for the few steps that have to be done all or not at all.

    A cancel that came meanwhile raises ``Cancelled`` at the end of the outermost block, unless the
    block itself has failed. Keep it shorter than ``WorkerProcess`` waits before it kills.
    """
    _Cancellation.held += 1
    try:
        yield
    finally:
        _Cancellation.held -= 1
    if _Cancellation.wanted and not _Cancellation.held:
        raise Cancelled
