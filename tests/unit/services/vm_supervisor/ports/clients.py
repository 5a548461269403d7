"""Clients of a VM, a guest's server, and a VMM's network that forwards, with real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from services.vm_supervisor.network.modes import Forward
from shared.errors import BangerError, Code
from tests.loopback import OWN_ADDRESS

HOST = OWN_ADDRESS
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send all back, then end."""
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()


class ForwardingNetwork:
    """As QEMU's: binds the port of each forward and serves what comes with ``serve``."""

    obstacle = ""

    def __init__(self, serve: Serve = echo) -> None:
        self._serve = serve
        self.made: list[Forward] = []
        self.sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []

    async def add_forward(self, forward: Forward, bound: socket.socket | None = None) -> None:
        if forward.protocol == "udp":
            assert bound
            self.sockets.append(bound)
        else:
            try:
                server = await asyncio.start_server(
                    self._serve_one, forward.host, forward.port, reuse_address=True
                )
            except OSError as error:
                raise BangerError(Code.CONFLICT, str(error)) from error
            self._servers.append(server)
        self.made.append(forward)

    async def remove_forward(self, forward: Forward) -> None:
        self.made.remove(forward)

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            await self._serve(reader, writer)

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for bound in self.sockets:
            bound.close()


@asynccontextmanager
async def network(serve: Serve = echo) -> AsyncIterator[ForwardingNetwork]:
    there = ForwardingNetwork(serve)
    try:
        yield there
    finally:
        there.close()


async def exchange(port: int, payload: bytes) -> bytes:
    """Send all, end the sending side, and return all that comes back."""
    reader, writer = await asyncio.open_connection(HOST, port)
    with contextlib.closing(writer):

        async def send() -> None:
            writer.write(payload)
            await writer.drain()
            writer.write_eof()

        _, answer = await asyncio.gather(send(), reader.read())
        return answer


def play(act: Awaitable[None]) -> None:
    """Run a test's coroutine; it fails when it has not ended in time."""

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await act

    asyncio.run(bounded())
