"""One question to one upstream, by UDP and, where the answer has no room there, by TCP.

Against forged answers (RFC 5452): a random id, a socket and so a random port of its own for every
question (the kernel draws it at connect(2)), which takes datagrams from that server alone, and the
question has to come back with the answer.
"""

import asyncio
import secrets

from services.dns.wire.format import TCP_LARGEST, TCP_LENGTH
from services.dns.wire.query import Key, ask_on
from services.dns.wire.reply import Elsewhere, Reply, read_reply
from services.dns.zone.zone import Rcode

PORT = 53
_BEFORE_EDNS = (Rcode.FORMERR, Rcode.NOTIMP)
"""What servers say that do not know EDNS (RFC 6891 section 7)."""


async def exchange(host: str, port: int, key: Key) -> Reply | Elsewhere:
    """The answer; whoever calls sets a deadline.

    Raises:
        OSError: nobody there, or no way there.
        asyncio.IncompleteReadError: the connection was closed in the middle of an answer.
    """
    found = await _ask(host, port, key, edns=True)
    if isinstance(found, Elsewhere) and not found.truncated and found.rcode in _BEFORE_EDNS:
        return await _ask(host, port, key, edns=False)
    return found


async def _ask(host: str, port: int, key: Key, *, edns: bool) -> Reply | Elsewhere:
    found = await _by_udp(host, port, key, edns=edns)
    if isinstance(found, Elsewhere) and found.truncated:
        return await _by_tcp(host, port, key, edns=edns)
    return found


async def _by_udp(host: str, port: int, key: Key, *, edns: bool) -> Reply | Elsewhere:
    loop = asyncio.get_running_loop()
    asked = _Question(key, loop.create_future())
    transport, _ = await loop.create_datagram_endpoint(lambda: asked, remote_addr=(host, port))
    try:
        transport.sendto(ask_on(key, asked.identity, edns=edns))
        return await asked.found
    finally:
        transport.close()


class _Question(asyncio.DatagramProtocol):
    """Waits for the one datagram that answers; others are as if they had not come."""

    def __init__(self, key: Key, found: "asyncio.Future[Reply | Elsewhere]") -> None:
        self.identity = secrets.randbits(16)
        self.found = found
        self._key = key

    def datagram_received(self, data: bytes, _addr: tuple[str | object, int]) -> None:
        reply = read_reply(data, self._key, self.identity)
        if reply is not None and not self.found.done():
            self.found.set_result(reply)

    def error_received(self, exc: Exception) -> None:
        if not self.found.done():
            self.found.set_exception(exc)  # ICMP: nobody listens there, or no way there


async def _by_tcp(host: str, port: int, key: Key, *, edns: bool) -> Reply | Elsewhere:
    reader, writer = await asyncio.open_connection(host, port, limit=TCP_LARGEST)
    try:
        identity = secrets.randbits(16)
        packet = ask_on(key, identity, edns=edns)
        writer.write(TCP_LENGTH.pack(len(packet)) + packet)
        (length,) = TCP_LENGTH.unpack(await reader.readexactly(TCP_LENGTH.size))
        reply = read_reply(await reader.readexactly(length), key, identity)
    finally:
        writer.close()
    if reply is None or (isinstance(reply, Elsewhere) and reply.truncated):
        raise ConnectionError("no answer to the question that was asked")
    return reply
