"""A held connection loses no byte, and ends as one without a middleman does."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.vm_supervisor.ports.held_connection import HeldConnection
from tests.unit.services.vm_supervisor.ports.clients import HOST, Serve, echo, free_port, play


@asynccontextmanager
async def held() -> AsyncIterator[tuple[socket.socket, HeldConnection]]:
    """A client's socket, and what was accepted of it."""
    with socket.create_server((HOST, 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    client.setblocking(False)
    with client:
        yield client, HeldConnection(accepted)


@asynccontextmanager
async def guest(serve: Serve) -> AsyncIterator[tuple[str, int]]:
    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            await serve(reader, writer)

    server = await asyncio.start_server(serve_one, HOST, 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()


async def read_all(end: socket.socket) -> bytes:
    loop, got = asyncio.get_running_loop(), b""
    while piece := await loop.sock_recv(end, 65536):
        got += piece
    return got


def test_what_was_sent_before_there_was_a_guest_arrives_first() -> None:
    async def act() -> None:
        loop, sent = asyncio.get_running_loop(), asyncio.Event()
        async with held() as (client, connection), guest(echo) as target:
            assert connection.address == client.getpeername()
            await loop.sock_sendall(client, b"early ")
            relay = asyncio.create_task(connection.relay(target, sent.set))
            payload = bytes(range(256)) * 8192
            reading = asyncio.create_task(read_all(client))
            await loop.sock_sendall(client, payload)
            client.shutdown(socket.SHUT_WR)
            assert await reading == b"early " + payload
            await relay
            assert sent.is_set()

    play(act())


def test_each_direction_ends_by_itself() -> None:
    async def says_and_then_listens(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"welcome")
        writer.write_eof()
        heard.set_result(await reader.read())

    heard: asyncio.Future[bytes]

    async def act() -> None:
        nonlocal heard
        loop = asyncio.get_running_loop()
        heard = loop.create_future()
        async with held() as (client, connection), guest(says_and_then_listens) as target:
            relay = asyncio.create_task(connection.relay(target, lambda: None))
            assert await read_all(client) == b"welcome"
            assert not relay.done()
            await loop.sock_sendall(client, b"late")
            client.shutdown(socket.SHUT_WR)
            await relay
            assert await heard == b"late"

    play(act())


def test_a_guest_that_refuses_resets_its_client() -> None:
    async def act() -> None:
        async with held() as (client, connection):
            await connection.relay((HOST, free_port()), lambda: None)
            with pytest.raises(ConnectionResetError):
                await asyncio.get_running_loop().sock_recv(client, 1)

    play(act())


def test_a_client_that_breaks_off_resets_the_guest() -> None:
    async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        except ConnectionResetError:
            reset.set()

    reset = asyncio.Event()

    async def act() -> None:
        async with held() as (client, connection), guest(wait) as target:
            relay = asyncio.create_task(connection.relay(target, lambda: None))
            await asyncio.get_running_loop().sock_sendall(client, b"x")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            await relay
            await reset.wait()

    play(act())


def test_a_refused_connection_is_reset() -> None:
    async def act() -> None:
        async with held() as (client, connection):
            connection.refuse()
            with pytest.raises(ConnectionResetError):
                await asyncio.get_running_loop().sock_recv(client, 1)

    play(act())
