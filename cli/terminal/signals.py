"""SIGINT, SIGTERM and SIGHUP: exceptions while a command waits, bytes while ssh runs."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from cli.terminal.interrupted import Interrupted

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that are ignored stay ignored, as under nohup(1) or in the background of a shell."""


@contextmanager
def _handlers(handler: Any, *more: int) -> Iterator[None]:
    heeded = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    heeded += [signal.Signals(number) for number in more]
    before = {number: signal.signal(number, handler) for number in heeded}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def interrupts_raise() -> Iterator[None]:
    """Inside, each of ``ENDING`` raises ``Interrupted``: SIGTERM too must not skip ``finally``."""

    def handler(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    with _handlers(handler):
        yield


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Inside, nothing interrupts: for cleaning up, which is bounded by deadlines."""
    # Not SIG_IGN: what is started meanwhile would inherit that.
    with _handlers(lambda *_: None):
        yield


@contextmanager
def interrupts_readable(*more: int) -> Iterator[int]:
    """Inside, each of ``ENDING`` and ``more`` is one byte, its number, on the descriptor given."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    with _handlers(lambda *_: None, *more):
        before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        try:
            yield read
        finally:
            signal.set_wakeup_fd(before)
            os.close(read)
            os.close(write)
