"""The relay between real sockets of the host and a wire whose other end is the test: the guest."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine, Iterator
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from services.vm_supervisor.network.frame_budget import FRAMES_PER_SECOND, SHARE_SECONDS
from services.vm_supervisor.network.modes import Forward
from services.vm_supervisor.network.udp_frames import Datagram, WireEnd, read_udp, udp_frame
from services.vm_supervisor.network.udp_relay import (
    GUEST_ADDRESS,
    HERE,
    MOST_PEERS,
    Peer,
    Peers,
    UdpRelay,
)
from shared.vm import files
from tests.loopback import OWN_ADDRESS

HOST = OWN_ADDRESS
GUEST = WireEnd(bytes.fromhex("020304050607"), GUEST_ADDRESS)
MAC = "02:03:04:05:06:07"


class Wire:
    """The VMM's end of it."""

    def __init__(self, run: Path) -> None:
        self._to = str(run / files.UDP_SOCKET)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(str(run / files.UDP_VMM_SOCKET))

    async def receive(self) -> bytes:
        async with asyncio.timeout(10):
            return await asyncio.get_running_loop().sock_recv(self.socket, 65536)

    def send(self, frame: bytes) -> None:
        self.socket.sendto(frame, self._to)


def played(test: Callable[[Path], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    """The coroutine as a test, in a loop of its own."""

    @wraps(test)
    def play(run: Path) -> None:
        asyncio.run(test(run))

    return play


@pytest.fixture
def run() -> Iterator[Path]:
    with TemporaryDirectory(prefix="bgr") as directory:
        yield Path(directory)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def client() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((HOST, 0))
    made.setblocking(False)
    return made


async def answer_to(asker: socket.socket) -> bytes:
    async with asyncio.timeout(10):
        return await asyncio.get_running_loop().sock_recv(asker, 65536)


async def asked(wire: Wire) -> Datagram:
    datagram = read_udp(await wire.receive(), GUEST)
    assert datagram
    return datagram


@played
async def test_a_question_reaches_the_guest_and_its_answer_who_asked(run: Path) -> None:
    relay, wire, forward = UdpRelay(run, MAC), Wire(run), Forward("udp", HOST, free_port(), 53)
    relay.open()
    relay.add(forward)
    with client() as one, client() as other, wire.socket:
        one.sendto(b"one", (HOST, forward.port))
        first = await asked(wire)
        other.sendto(b"other", (HOST, forward.port))
        second = await asked(wire)
        assert (first.payload, first.target_port) == (b"one", 53)
        assert (second.payload, second.target_port) == (b"other", 53)
        for datagram in (second, first):
            back = Datagram(53, datagram.source_port, b"to " + datagram.payload)
            wire.send(udp_frame(GUEST, HERE, back))
        assert await answer_to(one) == b"to one"
        assert await answer_to(other) == b"to other"
        relay.close()
    assert not (run / files.UDP_SOCKET).exists()


@played
async def test_what_came_before_there_was_a_relay_reaches_the_guest(run: Path) -> None:
    relay, wire, port = UdpRelay(run, MAC), Wire(run), free_port()
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind((HOST, port))
    with contextlib.closing(relay), contextlib.closing(wire.socket), client() as asker:
        for number in range(5):
            asker.sendto(b"%d" % number, (HOST, port))
        relay.open()
        relay.add(Forward("udp", HOST, port, 53), bound)
        assert [(await asked(wire)).payload for _ in range(5)] == [b"%d" % n for n in range(5)]


@played
async def test_the_guest_reaches_nobody_who_did_not_ask(run: Path) -> None:
    """Neither another port of the host, nor who asked another port of the guest's."""
    relay, wire, forward = UdpRelay(run, MAC), Wire(run), Forward("udp", HOST, free_port(), 53)
    relay.open()
    relay.add(forward)
    with client() as one, wire.socket:
        one.sendto(b"?", (HOST, forward.port))
        port = (await asked(wire)).source_port
        for source, target in ((54, port), (53, port + 1), (53, one.getsockname()[1])):
            wire.send(udp_frame(GUEST, HERE, Datagram(source, target, b"not for you")))
        wire.send(udp_frame(GUEST, HERE, Datagram(53, port, b"for you")))
        assert await answer_to(one) == b"for you"
        relay.close()


@played
async def test_what_others_say_on_the_wire_does_not_wake_us(run: Path) -> None:
    """Frames to another MAC address are dropped in the kernel; ours are answered all the same."""
    relay, wire = UdpRelay(run, MAC), Wire(run)
    relay.open()
    noise = udp_frame(GUEST, WireEnd(bytes(6), HERE.address), Datagram(1, 2, bytes(1400)))
    with wire.socket:
        for _ in range(1000):  # more than the socket holds: they would block if they were kept
            wire.send(noise)
        wire.send(who_has(HERE.address))
        assert (await wire.receive())[6:12] == HERE.mac
        relay.close()


@played
async def test_a_datagram_that_fits_no_frame_is_lost(run: Path) -> None:
    relay, wire, forward = UdpRelay(run, MAC), Wire(run), Forward("udp", HOST, free_port(), 53)
    relay.open()
    relay.add(forward)
    with client() as one, wire.socket:
        one.sendto(bytes(1473), (HOST, forward.port))
        one.sendto(bytes(1472), (HOST, forward.port))
        assert len((await asked(wire)).payload) == 1472
        relay.close()


@played
async def test_a_vmm_that_is_gone_is_no_end_of_the_relay(run: Path) -> None:
    relay, forward = UdpRelay(run, MAC), Forward("udp", HOST, free_port(), 53)
    relay.open()
    relay.add(forward)
    with client() as one:
        one.sendto(b"to nobody", (HOST, forward.port))
        await asyncio.sleep(0)
        wire = Wire(run)
        with wire.socket:
            for _ in range(2):
                one.sendto(b"again", (HOST, forward.port))
            payloads = {(await asked(wire)).payload}
            assert payloads <= {b"to nobody", b"again"}
            relay.close()


@played
async def test_a_forward_that_is_removed_frees_its_port(run: Path) -> None:
    relay, forward = UdpRelay(run, MAC), Forward("udp", HOST, free_port(), 53)
    relay.open()
    relay.add(forward)
    used = [relay.used]
    relay.remove(forward)
    assert [*used, relay.used] == [True, False]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((HOST, forward.port))
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    relay.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors - 1


def test_who_was_silent_for_longest_is_forgotten_first() -> None:
    peers = Peers()
    with socket.socket() as bound:
        known = [Peer(bound, 53, ("127.0.0.1", number)) for number in range(MOST_PEERS)]
        ports = [peers.port(peer) for peer in known]
        assert len(set(ports)) == MOST_PEERS
        peers.port(known[0])
        newest = peers.port(Peer(bound, 53, ("127.0.0.2", 1)))
        assert len(peers.ports) == MOST_PEERS
        assert peers.by_port[ports[0]] == known[0]
        assert ports[1] not in peers.by_port
        assert peers.by_port[newest].address == ("127.0.0.2", 1)
        peers.forget(bound)
        assert not peers.by_port


def who_has(address: bytes) -> bytes:
    return (
        b"\xff" * 6 + GUEST.mac + bytes.fromhex("0806 0001 0800 0604 0001")
        + GUEST.mac + GUEST_ADDRESS + bytes(6) + address
    )  # fmt: skip


@played
async def test_arp_about_others_and_other_kinds_of_frames_do_not_wake_us(run: Path) -> None:
    relay, wire = UdpRelay(run, MAC), Wire(run)
    relay.open()
    other = HERE.mac + GUEST.mac + bytes.fromhex("86dd") + bytes(1400)
    with wire.socket:
        for _ in range(1000):  # more than the socket holds: they would block if they were kept
            wire.send(who_has(socket.inet_aton("10.0.2.2")))
            wire.send(other)
        wire.send(who_has(HERE.address))
        assert (await wire.receive())[6:12] == HERE.mac
        relay.close()


@played
async def test_flood_is_read_by_a_budget_and_what_comes_later_is_answered(run: Path) -> None:
    relay, wire = UdpRelay(run, MAC), Wire(run)
    relay.open()
    loop = asyncio.get_running_loop()
    answers, until = 0, loop.time() + 0.5
    with wire.socket:
        while loop.time() < until:
            with contextlib.suppress(BlockingIOError):
                wire.send(who_has(HERE.address))
            with contextlib.suppress(BlockingIOError):
                answers += bool(wire.socket.recv(100))
            await asyncio.sleep(0)
        assert answers <= 0.6 * FRAMES_PER_SECOND
        with contextlib.suppress(BlockingIOError):
            while wire.socket.recv(100):
                pass
        while True:
            try:
                wire.send(who_has(HERE.address))
                break
            except BlockingIOError:
                await asyncio.sleep(0.01)
        assert (await wire.receive())[6:12] == HERE.mac
        relay.close()


@played
async def test_relay_that_rests_is_closed_like_any_other(run: Path) -> None:
    relay, wire = UdpRelay(run, MAC), Wire(run)
    relay.open()
    with wire.socket:
        for _ in range(FRAMES_PER_SECOND):
            with contextlib.suppress(BlockingIOError):
                wire.send(who_has(HERE.address))
            await asyncio.sleep(0)
        relay.close()
        await asyncio.sleep(2 * SHARE_SECONDS)
    assert not (run / files.UDP_SOCKET).exists()
