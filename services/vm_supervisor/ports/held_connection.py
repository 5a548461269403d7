"""A connection that was opened while the VM was asleep, and is led to the guest once it is awake.

Bytes are passed on in both directions in their order, the end of each direction by itself
(shutdown(2)), and a connection that breaks on one side is reset on the other. Nothing is read
before the guest can take it: until then the client's bytes are in the kernel, which tells the
client when to wait.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

PIECE = 64 << 10
"""Bytes that are read at once, of each direction."""
_NO_LINGER = struct.pack("ii", 1, 0)
"""struct linger: close(2) resets the connection (socket(7))."""


class HeldConnection:
    """``client`` is the accepted socket."""

    def __init__(self, client: socket.socket) -> None:
        client.setblocking(False)
        # The guest's forward is bound to the same port while this connection is there.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._client = client
        self.address: tuple[str, int] = client.getsockname()
        """Where the client has connected to."""

    def refuse(self) -> None:
        """Reset it."""
        _reset(self._client)

    async def relay(self, target: tuple[str, int], sent: Callable[[], None]) -> None:
        """Lead it to ``target`` until both sides have ended; closed when this returns.

        ``sent`` is called when the client's first bytes are there.
        """
        loop = asyncio.get_running_loop()
        guest = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            for end in (self._client, guest):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(guest, target)
            async with asyncio.TaskGroup() as both:
                both.create_task(_pass_on(self._client, guest, sent))
                both.create_task(_pass_on(guest, self._client))
        except BaseException as error:
            _reset(guest)
            _reset(self._client)
            if not _is_broken(error):
                raise
        else:
            guest.close()
            self._client.close()


async def _pass_on(
    source: socket.socket, sink: socket.socket, begun: Callable[[], None] = lambda: None
) -> None:
    loop = asyncio.get_running_loop()
    while piece := await loop.sock_recv(source, PIECE):
        begun()
        await loop.sock_sendall(sink, piece)
    sink.shutdown(socket.SHUT_WR)


def _is_broken(error: BaseException) -> bool:
    """Whether this is what becomes of connections."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_broken, error.exceptions))
    return isinstance(error, OSError)


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    end.close()
