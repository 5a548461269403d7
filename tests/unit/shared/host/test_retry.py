"""Trying again: as long as it makes sense, and no longer."""

import asyncio
import math
import sys
from collections.abc import Iterator
from subprocess import run

import pytest

from shared.errors import BangerError, Code
from shared.host.retry import RetryWindow, poll, poll_async, retry

AWAY = BangerError(Code.UNAVAILABLE, "the service is away")
WRONG = BangerError(Code.INVALID, "it will never do this")


def answers(*values: int) -> Iterator[int]:
    return iter(values)


def test_poll_returns_the_first_answer_that_counts() -> None:
    seen = answers(0, 0, 7, 8)
    assert poll(lambda: next(seen), math.inf, pause=0) == 7


def test_poll_looks_once_when_the_time_is_over_already() -> None:
    seen = answers(0, 7)
    assert poll(lambda: next(seen), -math.inf) == 0
    assert poll(lambda: next(seen), -math.inf) == 7


def test_the_event_loop_runs_on_while_it_is_polled() -> None:
    async def scenario() -> bool:
        event = asyncio.Event()
        asyncio.get_running_loop().call_soon(event.set)
        return await poll_async(event.is_set, math.inf, pause=0)

    assert asyncio.run(scenario())


def test_poll_async_gives_up_after_the_deadline() -> None:
    assert asyncio.run(poll_async(lambda: None, -math.inf)) is None


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_window_is_open_from_the_first_failure_on() -> None:
    clock = Clock()
    window = RetryWindow(5, clock=clock)
    clock.now = 1000.0  # however long nothing failed
    assert window.is_open(AWAY)
    clock.now += 3
    assert window.is_open(AWAY)
    clock.now += 1.9
    assert window.is_open(AWAY)
    clock.now += 0.1
    assert not window.is_open(AWAY)


def test_a_try_that_was_at_work_for_long_opens_the_window_again() -> None:
    clock = Clock()
    window = RetryWindow(5, clock=clock)
    assert window.is_open(AWAY)
    clock.now += 60
    assert window.is_open(AWAY)
    clock.now += 4
    assert window.is_open(AWAY)
    clock.now += 2
    assert not window.is_open(AWAY)


def test_a_window_of_no_seconds_is_never_open() -> None:
    window = RetryWindow(0, clock=Clock())
    assert not window.is_open(AWAY)
    assert not window.is_open(AWAY)


def test_a_failure_that_does_not_pass_is_not_tried_again() -> None:
    assert not RetryWindow().is_open(WRONG)
    assert RetryWindow(codes=(Code.INVALID,)).is_open(WRONG)


class Service:
    """Fails with each of ``failures`` in turn, then answers."""

    def __init__(self, *failures: BangerError) -> None:
        self._failures = list(failures)

    async def ask(self) -> str:
        if self._failures:
            raise self._failures.pop(0)
        return "done"


def test_retry_goes_on_until_it_succeeds() -> None:
    service = Service(AWAY, AWAY)
    assert asyncio.run(retry(service.ask, RetryWindow(pause=0))) == "done"


def test_retry_raises_what_is_final() -> None:
    service = Service(AWAY, WRONG)
    with pytest.raises(BangerError) as raised:
        asyncio.run(retry(service.ask, RetryWindow(pause=0)))
    assert raised.value is WRONG


def test_the_synchronous_half_does_not_import_asyncio() -> None:
    code = "import sys, shared.host.retry; sys.exit('asyncio' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
