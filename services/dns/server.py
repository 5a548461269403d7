"""The zone on the wire: UDP and TCP on one loopback port.

TCP follows RFC 7766: messages framed by their length in two octets, any number of queries on
one connection, which is closed after ``IDLE`` seconds of silence.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import cast

from services.dns.resolver import respond
from services.dns.zone import Zone

IDLE = 10.0
"""Seconds a TCP client may take for its next query, or to read its answer."""

CONNECTIONS = 64
"""TCP connections served at once; further ones are closed at once, and the client tries again."""

_LENGTH = struct.Struct("!H")
Address = tuple[str, int]


class Server:
    """Answers from whatever ``zone()`` returns at the time of the query."""

    def __init__(self, zone: Callable[[], Zone], *, idle: float = IDLE) -> None:
        self._zone = zone
        self._idle = idle
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> Address:
        """Listen on both; the address with the port chosen, which is ``port`` unless that is 0.

        Raises:
            OSError: one of the two could not be bound; then neither is.
        """
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self._zone), local_addr=(host, port)
        )
        address: Address = self._udp.get_extra_info("sockname")
        try:
            self._tcp = await asyncio.start_server(self._accept, *address)
        except OSError:
            self._udp.close()
            raise
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
        if len(self._connections) >= CONNECTIONS:
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._serve_one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the client left, or went silent: nothing is owed to it
        finally:
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One query and its answer; False when the client is not worth listening to."""
        async with asyncio.timeout(self._idle):
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            answer = respond(await reader.readexactly(length), self._zone(), tcp=True)
            if answer is None:
                return False
            writer.write(_LENGTH.pack(len(answer)) + answer)
            await writer.drain()
            return True


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, zone: Callable[[], Zone]) -> None:
        self._zone = zone
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since asyncio's own class is none of DatagramTransport's on Python 3.11.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        answer = respond(data, self._zone(), tcp=False)
        if answer is not None and self._transport:
            self._transport.sendto(answer, addr)
