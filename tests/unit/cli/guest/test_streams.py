"""What a session gets in place of the standard streams."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cli.guest.streams import Pump, Streams


@contextmanager
def standing_in(fd: int, other: int) -> Iterator[None]:
    """Inside, ``fd`` is ``other``."""
    kept = os.dup(fd)
    os.dup2(other, fd)
    try:
        yield
    finally:
        os.dup2(kept, fd)
        os.close(kept)


def test_a_pipe_is_opened_anew_so_that_others_keep_theirs_blocking() -> None:
    read, write = os.pipe()
    with standing_in(1, write):
        streams = Streams(stdin=False)
        os.set_blocking(streams.of_session[1], False)
        assert os.get_blocking(1)
        os.write(streams.of_session[1], b"same pipe")
        streams.close()
    assert os.read(read, 99) == b"same pipe"
    for fd in (read, write):
        os.close(fd)


def test_a_socket_is_led_through_a_pipe() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, standing_in(1, theirs.fileno()):
        streams = Streams(stdin=False)
        os.set_blocking(streams.of_session[1], False)
        assert os.get_blocking(1)
        os.write(streams.of_session[1], b"through")
        (pump,) = streams.outgoing()
        pump.step()
        pump.step()
        assert ours.recv(99) == b"through"
        streams.close()


def test_a_file_is_shared_and_keeps_its_offset(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "log"
    with path.open("wb", buffering=0) as log, standing_in(1, log.fileno()):
        log.write(b"before ")
        streams = Streams(stdin=False)
        os.write(streams.of_session[1], b"session ")
        streams.close()
        log.write(b"after")
    assert path.read_bytes() == b"before session after"


def test_without_stdin_there_is_nothing_to_read() -> None:
    streams = Streams(stdin=False)
    assert os.read(streams.of_session[0], 1) == b""
    streams.close()


def test_a_pump_ends_with_either_end() -> None:
    (source, write), (read, sink) = os.pipe(), os.pipe()
    pump = Pump(source, sink, bytes.upper)
    os.write(write, b"hi")
    pump.step()
    assert pump.waits_for()[0] == sink
    pump.step()
    assert os.read(read, 9) == b"HI"
    os.write(write, b"more")
    os.close(read)
    pump.step()
    pump.step()
    assert pump.done
    for fd in (source, write, sink):
        os.close(fd)
