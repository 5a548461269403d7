"""One question to one upstream, by UDP and, if the answer is truncated, by TCP.

Against forged answers (RFC 5452), every question has a random id and a socket of its own. The
kernel gives the socket a random port and accepts datagrams from that server alone. An answer counts
only with the same id and question.
"""

import asyncio
import secrets

from services.dns.wire.format import TCP_LARGEST, TCP_LENGTH, Rcode
from services.dns.wire.query import QuestionKey, write_question
from services.dns.wire.reply import Reply, UnusableReply, read_reply

PORT = 53
_BEFORE_EDNS = (Rcode.FORMERR, Rcode.NOTIMP)
"""Errors of servers that do not know EDNS (RFC 6891 section 7)."""


async def exchange(host: str, port: int, key: QuestionKey) -> Reply | UnusableReply:
    """The reply of the upstream. The caller sets a deadline.

    Raises:
        OSError: nothing listens there, or there is no route.
        asyncio.IncompleteReadError: the connection was closed before the end of an answer.
    """
    found = await _ask(host, port, key, edns=True)
    if isinstance(found, UnusableReply) and not found.truncated and found.rcode in _BEFORE_EDNS:
        return await _ask(host, port, key, edns=False)
    return found


async def _ask(host: str, port: int, key: QuestionKey, *, edns: bool) -> Reply | UnusableReply:
    found = await _by_udp(host, port, key, edns=edns)
    if isinstance(found, UnusableReply) and found.truncated:
        return await _by_tcp(host, port, key, edns=edns)
    return found


async def _by_udp(host: str, port: int, key: QuestionKey, *, edns: bool) -> Reply | UnusableReply:
    loop = asyncio.get_running_loop()
    asked = _Question(key, loop.create_future())
    transport, _ = await loop.create_datagram_endpoint(lambda: asked, remote_addr=(host, port))
    try:
        transport.sendto(write_question(key, asked.identity, edns=edns))
        return await asked.found
    finally:
        transport.close()


class _Question(asyncio.DatagramProtocol):
    """Waits for the one datagram that answers the question, and ignores all others."""

    def __init__(self, key: QuestionKey, found: "asyncio.Future[Reply | UnusableReply]") -> None:
        self.identity = secrets.randbits(16)
        self.found = found
        self._key = key

    def datagram_received(self, data: bytes, _addr: tuple[str | object, int]) -> None:
        reply = read_reply(data, self._key, self.identity)
        if reply is not None and not self.found.done():
            self.found.set_result(reply)

    def error_received(self, exc: Exception) -> None:
        if not self.found.done():
            self.found.set_exception(exc)  # ICMP: nothing listens there, or no route


async def _by_tcp(host: str, port: int, key: QuestionKey, *, edns: bool) -> Reply | UnusableReply:
    reader, writer = await asyncio.open_connection(host, port, limit=TCP_LARGEST)
    try:
        identity = secrets.randbits(16)
        packet = write_question(key, identity, edns=edns)
        writer.write(TCP_LENGTH.pack(len(packet)) + packet)
        (length,) = TCP_LENGTH.unpack(await reader.readexactly(TCP_LENGTH.size))
        reply = read_reply(await reader.readexactly(length), key, identity)
    finally:
        writer.close()
    if reply is None or (isinstance(reply, UnusableReply) and reply.truncated):
        raise ConnectionError("no answer to the question")
    return reply
