"""Cancels that come during steps that have to be done all or not at all."""

import os
import signal
from collections.abc import Iterator

import pytest

from shared.workers.job import Cancelled, ignore_cancels, take_cancels, uninterrupted


@pytest.fixture(autouse=True)
def _cancels() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    take_cancels()
    yield
    signal.signal(signal.SIGTERM, before)


def cancel() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_cancel_is_raised_where_the_job_is() -> None:
    with pytest.raises(Cancelled):
        cancel()


def test_a_cancel_waits_for_the_end_of_the_outermost_block() -> None:
    steps = []

    def work() -> None:
        with uninterrupted():
            with uninterrupted():
                cancel()
                steps.append("inner")
            steps.append("outer")

    with pytest.raises(Cancelled):
        work()
    assert steps == ["inner", "outer"]


def test_a_block_that_fails_raises_its_own_error() -> None:
    def work() -> None:
        with uninterrupted():
            cancel()
            raise LookupError

    with pytest.raises(LookupError):
        work()


def test_a_block_without_a_cancel_goes_on() -> None:
    with uninterrupted():
        pass


def test_the_outcome_of_a_job_is_not_cancelled() -> None:
    ignore_cancels()
    cancel()
