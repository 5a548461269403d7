"""The server: UDP and TCP on one port of one address.

TCP follows RFC 7766: messages framed by their length in two octets, any number of queries on
one connection, which is closed after ``IDLE`` seconds of silence.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from services.dns.answers import Response
from services.dns.shares import item_to_evict
from services.dns.wire.format import TCP_LARGEST, TCP_LENGTH

IDLE = 10.0
"""Seconds that a TCP client may take for its next query, or to read its answer."""

CONNECTIONS = 64
"""TCP connections that are open at once."""

BATCH = 32
"""Datagrams that are read before the event loop does anything else."""

RECEIVE_BUFFER = 1 << 20
"""Octets; net.core.rmem_max is the limit. A burst of questions waits here."""

IP_FREEBIND = 15
"""ip(7), linux/in.h: bind an address that no interface has, or has yet."""

Endpoint = tuple[str, int]
Spawn = Callable[[Coroutine[Any, Any, None]], object]
"""Runs a coroutine as a task."""


class Responder(Protocol):
    """Returns the response to ``packet`` from ``source``, an address as text."""

    def __call__(self, packet: bytes, source: str, /, *, tcp: bool) -> Response: ...


class DnsServer:
    """``most`` bounds the TCP connections that one source has at once, ``CONNECTIONS`` all. When
    there are so many, the source that has most loses its oldest one to a source that has less."""

    def __init__(
        self, respond: Responder, spawn: Spawn, *, idle: float = IDLE, most: int = CONNECTIONS
    ) -> None:
        self._respond = respond
        self._spawn = spawn
        self._idle = idle
        self._most = most
        self._udp: _Datagrams | None = None
        self._tcp: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], str] = {}

    async def start(self, host: str, port: int, *, absent: bool = False) -> Endpoint:
        """Listen on UDP and TCP; returns the address, with the port that was chosen for port 0.
        ``absent``: the address may come and go.

        Raises:
            OSError: one of the two cannot be bound; neither is bound then.
        """
        udp = _bound(socket.SOCK_DGRAM, host, port, absent)
        address: Endpoint = udp.getsockname()
        try:
            tcp = _bound(socket.SOCK_STREAM, *address, absent)
        except OSError:
            udp.close()
            raise
        self._udp = _Datagrams(udp, self._respond, self._spawn)
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
        if not self._has_room(source):
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer, source))
        self._connections[task] = source

        # Not at the end of the task: one that is cancelled before its first step has none.
        def ended(task: asyncio.Task[None]) -> None:
            self._connections.pop(task, None)
            writer.close()

        task.add_done_callback(ended)

    def _has_room(self, source: str) -> bool:
        if Counter(self._connections.values())[source] >= self._most:
            return False
        if len(self._connections) < CONNECTIONS:
            return True
        oldest = item_to_evict(self._connections, source)
        if oldest is None:
            return False
        del self._connections[oldest]
        oldest.cancel()
        return True

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str
    ) -> None:
        # Errors: the client left or is silent.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            while await self._serve_one(reader, writer, source):
                pass

    async def _serve_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str
    ) -> bool:
        """Answer one query; False when the connection is to be closed."""
        async with asyncio.timeout(self._idle):
            (length,) = TCP_LENGTH.unpack(await reader.readexactly(TCP_LENGTH.size))
            response = self._respond(await reader.readexactly(length), source, tcp=True)
            answer = await response if isinstance(response, Coroutine) else response
            if answer is None:
                return False
            writer.write(TCP_LENGTH.pack(len(answer)) + answer)
            await writer.drain()
            return True


class _Datagrams:
    """The UDP socket. asyncio's own transport is slower: it reads one datagram for each turn of the
    loop, into a new buffer of 256 KB, which takes as long as the answer."""

    def __init__(self, udp: socket.socket, respond: Responder, spawn: Spawn) -> None:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._udp = udp
        self._respond = respond
        self._spawn = spawn
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
            except OSError:  # nothing to read, or an ICMP error for an earlier answer
                return
            response = self._respond(bytes(self._buffer[:size]), peer[0], tcp=False)
            if isinstance(response, bytes):
                self._send(response, peer)
            elif response is not None:
                self._spawn(self._send_later(response, peer))

    async def _send_later(self, response: Coroutine[Any, Any, bytes], peer: Endpoint) -> None:
        self._send(await response, peer)

    def _send(self, answer: bytes, peer: Endpoint) -> None:
        with contextlib.suppress(OSError):  # the client or its network is gone; it asks again
            self._udp.sendto(answer, peer)


def _bound(kind: socket.SocketKind, host: str, port: int, absent: bool) -> socket.socket:
    bound = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
    try:
        if kind is socket.SOCK_STREAM:  # a restart does not wait for old connections
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if absent:
            bound.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
