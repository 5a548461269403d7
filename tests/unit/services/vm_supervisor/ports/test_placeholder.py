"""Whoever comes to a VM that is asleep wakes it, and finds its guest with all that was sent."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from services.vm_supervisor.drivers.contract import UserNetwork
from services.vm_supervisor.network.modes import Forward
from services.vm_supervisor.ports import placeholder as under_test
from services.vm_supervisor.ports.placeholder import MOST_HELD, PlaceHolder
from shared.logs import Log
from tests.unit.services.vm_supervisor.ports.clients import (
    HOST,
    ForwardingNetwork,
    exchange,
    free_port,
    network,
    play,
)


@asynccontextmanager
async def holding(
    tmp_path: Path, *forwards: Forward, guest: str = ""
) -> AsyncIterator[tuple[PlaceHolder, asyncio.Event]]:
    """The place-holder of these ports, and whether somebody came."""
    woken, wakes = asyncio.Event(), []

    def wake() -> None:
        wakes.append(1)
        woken.set()

    place = PlaceHolder(Log(tmp_path / "log", "vm:0123456789ab"), wake, guest)
    place.listen(forwards)
    place.attend()
    try:
        yield place, woken
        assert len(wakes) <= 1
    finally:
        place.close()


def tcp(port: int = 0, guest_port: int = 80) -> Forward:
    return Forward("tcp", HOST, port or free_port(), guest_port)


async def wake(place: PlaceHolder, there: ForwardingNetwork) -> list[Forward]:
    made = await place.hand_over(cast(UserNetwork, there))
    return made + await place.relay(cast(UserNetwork, there))


def test_payloads_of_many_connections_arrive_whole_and_in_order(tmp_path: Path) -> None:
    async def act() -> None:
        ports = [tcp(), tcp(guest_port=81)]
        async with holding(tmp_path, *ports) as (place, woken), network() as there:
            payloads = [os.urandom(200_000 + number) for number in range(20)]
            clients = [
                asyncio.create_task(exchange(ports[number % 2].port, payload))
                for number, payload in enumerate(payloads)
            ]
            await woken.wait()
            assert place.holds(ports[0])
            assert await wake(place, there) == ports
            assert not place.holds(ports[0])
            assert await asyncio.gather(*clients) == payloads
            assert (place.led > 0, place.payload_seen) == (True, True)
            assert await exchange(ports[0].port, b"later") == b"later"

    play(act())


def test_a_connection_on_which_nothing_was_sent_is_known(tmp_path: Path) -> None:
    async def act() -> None:
        port = tcp()
        async with holding(tmp_path, port) as (place, woken), network() as there:
            reader, writer = await asyncio.open_connection(HOST, port.port)
            await woken.wait()
            await wake(place, there)
            writer.write_eof()
            assert await reader.read() == b""
            assert (place.led, place.payload_seen) == (1, False)
            writer.close()

    play(act())


def test_no_more_connections_than_a_limit_are_held(tmp_path: Path) -> None:
    async def act() -> None:
        port = tcp()
        async with holding(tmp_path, port) as (place, woken), network() as there:
            number = MOST_HELD + 5
            ends = await asyncio.gather(
                *(asyncio.open_connection(HOST, port.port) for _ in range(number))
            )
            await woken.wait()
            await wake(place, there)
            answers = []
            for reader, writer in ends:
                with contextlib.suppress(OSError):
                    writer.write(b"x")
                    writer.write_eof()
                    answers.append(await reader.read())
                writer.close()
            assert answers.count(b"x") == MOST_HELD == place.led

    play(act())


def test_a_vm_that_does_not_wake_resets_who_came(tmp_path: Path) -> None:
    async def act() -> None:
        port = tcp()
        async with holding(tmp_path, port) as (place, woken), network() as there:
            reader, writer = await asyncio.open_connection(HOST, port.port)
            await woken.wait()
            await place.hand_over(cast(UserNetwork, there))
            place.close()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    play(act())


def test_datagrams_wait_in_their_socket_which_becomes_the_networks(tmp_path: Path) -> None:
    async def act() -> None:
        port = Forward("udp", HOST, free_port(socket.SOCK_DGRAM), 53)
        async with holding(tmp_path, port) as (place, woken), network() as there:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                for number in range(10):
                    client.sendto(b"%d" % number, (HOST, port.port))
                await woken.wait()
                assert await wake(place, there) == [port]
                (bound,) = there.sockets
                assert [bound.recv(10) for _ in range(10)] == [b"%d" % n for n in range(10)]

    play(act())


def test_a_port_that_another_program_has_is_left_out(tmp_path: Path) -> None:
    async def act() -> None:
        with socket.create_server((HOST, 0)) as other:
            taken, port = tcp(other.getsockname()[1]), tcp()
            async with holding(tmp_path, taken, port) as (place, _), network() as there:
                assert (place.holds(taken), place.holds(port)) == (False, True)
                other.close()
                place.listen([taken, port])
                assert place.holds(taken)
                assert await wake(place, there) == [port, taken]

    play(act())


def test_in_bridge_mode_connections_are_led_to_the_guests_own_address(tmp_path: Path) -> None:
    async def act() -> None:
        async with network() as guest:
            server = tcp()
            await guest.add_forward(server)
            port = tcp(guest_port=server.port)
            async with holding(tmp_path, port, guest=HOST) as (place, woken):
                client = asyncio.create_task(exchange(port.port, b"hello"))
                await woken.wait()
                assert await place.hand_over(None) == []
                assert await place.relay(None) == []
                assert await client == b"hello"

    play(act())


def test_ports_can_be_held_again_after_a_wake_that_was_not_to_be(tmp_path: Path) -> None:
    async def act() -> None:
        port = tcp()
        async with holding(tmp_path, port) as (place, woken), network() as there:
            place.close()
            place.listen([port])
            place.attend()
            client = asyncio.create_task(exchange(port.port, b"again"))
            await woken.wait()
            await wake(place, there)
            assert await client == b"again"

    play(act())


def test_a_client_that_has_gone_is_no_trouble(tmp_path: Path) -> None:
    async def act() -> None:
        port = tcp()
        async with holding(tmp_path, port) as (place, woken), network() as there:
            client = socket.create_connection((HOST, port.port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            await woken.wait()
            await wake(place, there)
            assert await exchange(port.port, b"next") == b"next"

    play(act())


def test_the_queue_of_the_kernel_is_longer_than_what_is_held() -> None:
    assert under_test.WAITING > MOST_HELD
