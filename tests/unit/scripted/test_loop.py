"""The scripted VMM's loop."""

import os

from tests.scripted.qemu import Loop


def test_what_one_callback_closes_is_not_called_in_the_same_turn() -> None:
    """A write to a supervisor that was killed hangs up, and its end is readable in that turn."""
    loop, called = Loop(), list[int]()
    pipes = [os.pipe(), os.pipe()]

    def first_of(number: int) -> None:
        called.append(number)
        for reader, _ in pipes:
            loop.ignore(reader)

    for number, (reader, writer) in enumerate(pipes):
        loop.watch(reader, lambda number=number: first_of(number))  # type: ignore[misc]
        os.close(writer)
    loop.turn()
    assert len(called) == 1
    for reader, _ in pipes:
        os.close(reader)
