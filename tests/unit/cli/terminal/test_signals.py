"""Which signals interrupt us."""

import os
import signal
from collections.abc import Iterator

import pytest

from cli.terminal.interrupted import Interrupted
from cli.terminal.signals import ENDING, interrupts_raise


@pytest.fixture(params=ENDING)
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal whose handler is put back afterwards."""
    before = signal.getsignal(request.param)
    yield request.param
    signal.signal(request.param, before)


def test_a_signal_is_raised(number: signal.Signals) -> None:
    with pytest.raises(Interrupted) as caught, interrupts_raise():
        os.kill(os.getpid(), number)
    assert caught.value.exit_status == 128 + number


def test_one_that_was_ignored_when_we_were_started_stays_ignored(number: signal.Signals) -> None:
    """As under nohup(1), or in the background of a script."""
    signal.signal(number, signal.SIG_IGN)
    with interrupts_raise():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is signal.SIG_IGN
