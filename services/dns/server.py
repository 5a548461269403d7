"""Answers on the wire: UDP and TCP on one port of one address.

TCP follows RFC 7766: messages framed by their length in two octets, any number of queries on
one connection, which is closed after ``IDLE`` seconds of silence.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from services.dns.answers import Given
from services.dns.wire.format import TCP_LARGEST, TCP_LENGTH

IDLE = 10.0
"""Seconds a TCP client may take for its next query, or to read its answer."""

CONNECTIONS = 64
"""TCP connections served at once; further ones are closed at once, and the client tries again."""

BATCH = 32
"""Datagrams taken before the loop looks at anything else."""

RECEIVE_BUFFER = 1 << 20
"""Octets; the kernel gives what net.core.rmem_max allows. A burst waits here, not at the asker."""

IP_FREEBIND = 15
"""ip(7), linux/in.h: bind an address that is not there, or not there yet."""

Address = tuple[str, int]
Keep = Callable[[Coroutine[Any, Any, None]], object]
"""Runs a coroutine beside everything else until it ends."""


class Answer(Protocol):
    """What is answered to ``packet`` from ``source``, an address as text."""

    def __call__(self, packet: bytes, source: str, /, *, tcp: bool) -> Given: ...


class Server:
    """``most`` bounds the TCP connections that one source has at once, ``CONNECTIONS`` all."""

    def __init__(
        self, answer: Answer, keep: Keep, *, idle: float = IDLE, most: int = CONNECTIONS
    ) -> None:
        self._answer = answer
        self._keep = keep
        self._idle = idle
        self._most = most
        self._udp: _Datagrams | None = None
        self._tcp: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], str] = {}

    async def start(self, host: str, port: int, *, absent: bool = False) -> Address:
        """Listen on both; the address with the port chosen, which is ``port`` unless that is 0.
        ``absent``: the address may come and go.

        Raises:
            OSError: one of the two could not be bound; then neither is.
        """
        udp = _bound(socket.SOCK_DGRAM, host, port, absent)
        address: Address = udp.getsockname()
        try:
            tcp = _bound(socket.SOCK_STREAM, *address, absent)
        except OSError:
            udp.close()
            raise
        self._udp = _Datagrams(udp, self._answer, self._keep)
        self._tcp = await asyncio.start_server(self._accept, sock=tcp)
        return address

    async def close(self) -> None:
        """Stop listening and end the TCP connections that are open."""
        if self._udp:
            self._udp.close()
        if self._tcp:
            self._tcp.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = str(writer.get_extra_info("peername")[0])
        open_now = Counter(self._connections.values())
        if open_now.total() >= CONNECTIONS or open_now[source] >= self._most:
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer, source))
        self._connections[task] = source
        task.add_done_callback(lambda ended: self._connections.pop(ended, None))

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str
    ) -> None:
        try:
            while await self._serve_one(reader, writer, source):
                pass
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the client left, or went silent: nothing is owed to it
        finally:
            writer.close()

    async def _serve_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str
    ) -> bool:
        """One query and its answer; False when the client is not worth listening to."""
        async with asyncio.timeout(self._idle):
            (length,) = TCP_LENGTH.unpack(await reader.readexactly(TCP_LENGTH.size))
            given = self._answer(await reader.readexactly(length), source, tcp=True)
            answer = await given if isinstance(given, Coroutine) else given
            if answer is None:
                return False
            writer.write(TCP_LENGTH.pack(len(answer)) + answer)
            await writer.drain()
            return True


class _Datagrams:
    """The UDP socket. Read by hand: asyncio's transport takes one datagram for each turn of the
    loop, into a fresh buffer of 256 KB, which costs more than a remembered answer."""

    def __init__(self, udp: socket.socket, answer: Answer, keep: Keep) -> None:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._udp = udp
        self._answer = answer
        self._keep = keep
        self._buffer = bytearray(TCP_LARGEST)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(udp, self._drain)

    def close(self) -> None:
        self._loop.remove_reader(self._udp)
        self._udp.close()

    def _drain(self) -> None:
        for _ in range(BATCH):
            try:
                size, peer = self._udp.recvfrom_into(self._buffer)
            except OSError:  # nothing there, or the bad news of an answer sent before
                return
            given = self._answer(bytes(self._buffer[:size]), peer[0], tcp=False)
            if isinstance(given, bytes):
                self._send(given, peer)
            elif given is not None:
                self._keep(self._send_later(given, peer))

    async def _send_later(self, given: Coroutine[Any, Any, bytes], peer: Address) -> None:
        self._send(await given, peer)

    def _send(self, answer: bytes, peer: Address) -> None:
        with contextlib.suppress(OSError):  # the asker has gone, or its network has; it asks again
            self._udp.sendto(answer, peer)


def _bound(kind: socket.SocketKind, host: str, port: int, absent: bool) -> socket.socket:
    bound = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
    try:
        if kind is socket.SOCK_STREAM:  # a restart does not wait for connections of before
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if absent:
            bound.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
