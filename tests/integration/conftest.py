"""Services in a home of the test's own, which leave nothing behind."""

from collections.abc import Iterator

import pytest

from tests.home import Home, new_home
from tests.integration.guests import Guests, clean, new_guests
from tests.stack import Stack, new_stack


@pytest.fixture
def home() -> Iterator[Home]:
    with new_home() as home:
        yield home


@pytest.fixture
def unstarted(home: Home) -> Iterator[Stack]:
    """For a test that wants a procfile or a configuration of its own."""
    stack = Stack(home)
    yield stack
    stack.stop()


@pytest.fixture
def stack(unstarted: Stack) -> Stack:
    """Broker, store and the echo service, up."""
    return unstarted.launch()


@pytest.fixture(scope="module")
def shared_stack() -> Iterator[Stack]:
    """Like ``stack``, started once for all tests of a module that leave it as they find it."""
    with new_stack() as stack:
        yield stack.launch()


@pytest.fixture(scope="module")
def shared_guests() -> Iterator[Guests]:
    """All services with scripted guests, started once for a module. A module that wants another
    configuration has a fixture of this name."""
    with new_guests() as guests:
        yield guests


@pytest.fixture
def guests(shared_guests: Guests) -> Iterator[Guests]:
    """``shared_guests``, which the test has to leave as it finds them."""
    with clean(shared_guests):
        yield shared_guests
