"""Many connections at once to a guest, for tests and benchmarks."""

import os
import selectors
import socket
import time
from contextlib import ExitStack

SERVER = r"""
use IO::Socket::INET;
$s = IO::Socket::INET->new(LocalPort => 3000, Listen => 200, ReuseAddr => 1) or die;
$| = 1; $SIG{PIPE} = "IGNORE"; print "ready\n";
while ($c = $s->accept) { print $c "from the guest"; close $c; }
"""
"""A Perl program that answers every connection to TCP port 3000 of its guest."""
ANSWER = b"from the guest"
BURST = 100
SECONDS = 20.0
"""What an answer may take."""


def burst(host: str, port: int, number: int = BURST) -> list[float]:
    """Seconds until each of ``number`` connections that are made at once has read ``ANSWER``; fewer
    values when some are refused or take too long."""
    began = time.monotonic()
    answered: list[float] = []
    with selectors.DefaultSelector() as waiting, ExitStack() as clients:
        for _ in range(number):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((host, port))
            waiting.register(client, selectors.EVENT_READ)
        while waiting.get_map() and (ready := waiting.select(SECONDS)):
            for key, _ in ready:
                waiting.unregister(key.fileobj)
                if _answer(key.fd) == ANSWER:
                    answered.append(time.monotonic() - began)
    return answered


def _answer(fd: int) -> bytes:
    try:
        return os.read(fd, 100)
    except OSError:
        return b""


def made_at_once(host: str, port: int) -> int:
    """How many of ``BURST`` connections are made before any of them is accepted: the loopback
    answers before connect(2) returns, and drops what finds no room in the queue."""
    with ExitStack() as clients:
        tried = [clients.enter_context(socket.socket()) for _ in range(BURST)]
        for client in tried:
            client.setblocking(False)
            client.connect_ex((host, port))
        return sum(map(_is_connected, tried))


def _is_connected(client: socket.socket) -> bool:
    try:
        client.getpeername()
    except OSError:
        return False
    return True
