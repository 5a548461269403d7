"""The dns server on real sockets, and the dns service on a real bus."""

import asyncio
import contextlib
import random
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network

import pytest
from dnslib import QTYPE, DNSQuestion, DNSRecord

from services.dns.answers import ZoneResponder
from services.dns.server import CONNECTIONS, DnsServer
from services.dns.wire.format import Rcode
from services.dns.zone.zone import Zone
from tests.integration import mangled
from tests.stack import Stack, new_stack
from tests.waiting import eventually

ZONE = Zone(
    {"beta": [IPv4Address("127.77.0.2")]},
    [IPv4Network("127.77.0.0/16"), IPv4Network("10.77.0.0/24")],
    serial=7,
)
ANSWER_SECONDS = 5.0
IDLE_SECONDS = 30.0
"""Longer than any test: a connection that is closed meanwhile was closed for another reason."""
SOON_IDLE_SECONDS = 0.3


def free_port() -> int:
    """A port that was free on UDP and TCP a moment ago; one that a TCP connection has left is
    not for a while."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                tcp.bind(udp.getsockname())
                return int(udp.getsockname()[1])


def _keep_none(later: object) -> None:
    raise AssertionError(f"an answer of the zone takes time: {later}")


class Running:
    """A server on a free port, its loop in a thread."""

    def __init__(self, idle: float = IDLE_SECONDS) -> None:
        self.complaints: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self.complaints.append(str(context)))
        self._server = DnsServer(ZoneResponder(ZONE).answer, _keep_none, idle=idle)
        # Before the thread there is nothing to end when the port is taken after all.
        start = self._server.start("127.0.0.1", free_port())
        self.address = self._loop.run_until_complete(start)
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result(ANSWER_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def dig(self, *arguments: str) -> str:
        host, port = self.address
        argv = ["dig", f"@{host}", "-p", str(port), "+tries=1", "+time=5", *arguments]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20).stdout

    @contextlib.contextmanager
    def held_up(self) -> Iterator[None]:
        """Inside, its loop stands still."""
        stands, goes_on = threading.Event(), threading.Event()

        def stand() -> None:
            stands.set()
            goes_on.wait(ANSWER_SECONDS)

        self._loop.call_soon_threadsafe(stand)
        stands.wait(ANSWER_SECONDS)
        try:
            yield
        finally:
            goes_on.set()

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, ANSWER_SECONDS)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A parameter is how long a connection may be silent."""
    running = Running(getattr(request, "param", IDLE_SECONDS))
    yield running
    running.close()
    assert running.complaints == []


def query(name: str = "beta.vm", kind: str = "A") -> DNSRecord:
    return DNSRecord(q=DNSQuestion(name, getattr(QTYPE, kind)))


def by_udp(address: tuple[str, int], packet: bytes) -> DNSRecord:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(ANSWER_SECONDS)
        client.connect(address)  # so that nobody there is refused, and not waited for
        client.send(packet)
        return DNSRecord.parse(client.recv(65535))


def framed(packet: bytes) -> bytes:
    return struct.pack("!H", len(packet)) + packet


def read_framed(connection: socket.socket) -> DNSRecord:
    with connection.makefile("rb") as stream:
        (length,) = struct.unpack("!H", stream.read(2))
        return DNSRecord.parse(stream.read(length))


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_dig_finds_a_vm_by_name_and_back_by_address(server: Running, transport: str) -> None:
    assert server.dig(transport, "+short", "BETA.vm", "A") == "127.77.0.2\n"
    assert server.dig(transport, "+short", "-x", "127.77.0.2") == "beta.vm.\n"


@pytest.mark.parametrize(
    ("name", "kind", "status", "flags"),
    [
        ("beta.vm", "A", "NOERROR", "qr aa"),
        ("beta.vm", "AAAA", "NOERROR", "qr aa"),
        ("nobody.vm", "A", "NXDOMAIN", "qr aa"),
        ("vm", "SOA", "NOERROR", "qr aa"),
        ("vm", "NS", "NOERROR", "qr aa"),
        ("vm", "ANY", "NOERROR", "qr aa"),
        ("beta.vm", "ANY", "NOERROR", "qr aa"),
        ("2.0.77.127.in-addr.arpa", "ANY", "NOERROR", "qr aa"),
        ("77.127.in-addr.arpa", "SOA", "NOERROR", "qr aa"),
        ("0.77.127.in-addr.arpa", "PTR", "NOERROR", "qr aa"),
        ("example.org", "ANY", "REFUSED", "qr"),
        ("example.org", "A", "REFUSED", "qr"),
        ("9.0.77.10.in-addr.arpa", "PTR", "NXDOMAIN", "qr aa"),
    ],
)
def test_dig_sees_status_and_authority(
    server: Running, name: str, kind: str, status: str, flags: str
) -> None:
    shown = server.dig("+norecurse", name, kind)
    assert f"status: {status}" in shown
    assert f"flags: {flags};" in shown
    assert "WARNING" not in shown


def test_dig_agrees_with_our_edns(server: Running) -> None:
    assert "EDNS: version: 0, flags:; udp: 1232" in server.dig("beta.vm")
    assert "status: BADVERS" in server.dig("+edns=1", "+noednsnegotiation", "beta.vm")


def test_one_connection_carries_many_queries_even_sent_together(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(framed(query("beta.vm").pack()) + framed(query("nobody.vm").pack()))
        with connection.makefile("rb") as stream:
            codes = []
            for _ in range(2):
                (length,) = struct.unpack("!H", stream.read(2))
                codes.append(DNSRecord.parse(stream.read(length)).header.rcode)
        assert codes == [Rcode.NOERROR, Rcode.NXDOMAIN]


def test_query_that_arrives_octet_by_octet_is_answered(server: Running) -> None:
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in framed(query().pack()):
            connection.sendall(bytes([octet]))
        assert str(read_framed(connection).rr[0].rdata) == "127.77.0.2"


@pytest.mark.parametrize("server", [SOON_IDLE_SECONDS], indirect=True)
@pytest.mark.parametrize("sent", [b"", b"\x00", b"\x00\x40half a query"])
def test_silent_connection_is_closed(server: Running, sent: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(sent)
        assert connection.recv(1) == b""


def test_connections_beyond_the_limit_are_closed_and_udp_goes_on(server: Running) -> None:
    held = [server.connect() for _ in range(CONNECTIONS)]
    try:
        with server.connect() as one_more:
            assert one_more.recv(1) == b""
        assert by_udp(server.address, query().pack()).header.rcode == Rcode.NOERROR
    finally:
        for connection in held:
            connection.close()


def test_sources_that_take_all_connections_make_room_for_another(server: Running) -> None:
    with contextlib.ExitStack() as held:

        def connect(source: str) -> socket.socket:
            made = socket.create_connection(server.address, ANSWER_SECONDS, (source, 0))
            return held.enter_context(made)

        floods = [connect(f"127.0.0.{20 + n % 8}") for n in range(CONNECTIONS)]
        honest = [connect("127.0.0.30") for _ in range(3)]
        for connection in honest:
            connection.sendall(framed(query().pack()))
            assert read_framed(connection).header.rcode == Rcode.NOERROR
        assert floods[0].recv(1) == b""  # the oldest of a source that had most
        floods[-1].sendall(framed(query().pack()))
        assert read_framed(floods[-1]).header.rcode == Rcode.NOERROR


def test_a_connection_that_makes_room_before_it_was_served_is_closed(server: Running) -> None:
    """All wait to be accepted, and the server takes them in one turn of its loop."""
    with contextlib.ExitStack() as held:
        with server.held_up():
            made = [
                held.enter_context(
                    socket.create_connection(server.address, ANSWER_SECONDS, (source, 0))
                )
                for source in ["127.0.0.20"] * CONNECTIONS + ["127.0.0.30"]
            ]
        assert made[0].recv(1) == b""


def test_five_thousand_mangled_packets_leave_it_answering(server: Running) -> None:
    chance = random.Random(20261122)
    good = query().pack()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for sent in range(5000):
            client.sendto(mangled.query(chance), server.address)
            if sent % 100 == 99:  # keeps the socket's buffer from overflowing
                assert by_udp(server.address, good).header.rcode == Rcode.NOERROR


def test_mangled_streams_leave_it_answering(server: Running) -> None:
    chance = random.Random(20261122)
    for _ in range(200):
        with server.connect() as connection:
            packet = mangled.query(chance)
            connection.sendall(framed(packet) if chance.random() < 0.7 else packet)
            connection.shutdown(socket.SHUT_WR)
            _read_to_the_end(connection)  # so that never more than one is open
    with server.connect() as connection:
        connection.sendall(framed(query().pack()))
        assert read_framed(connection).header.rcode == Rcode.NOERROR


def _read_to_the_end(connection: socket.socket) -> None:
    connection.settimeout(ANSWER_SECONDS)
    with contextlib.suppress(ConnectionResetError):  # closed with our octets unread
        while connection.recv(4096):
            pass


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def stack(port: int) -> Iterator[Stack]:
    with new_stack(f"[dns]\nport = {port}\n") as made:
        made.start("broker")
        made.start("store")
        yield made


def resolves(port: int, expected: str | None) -> Callable[[], bool]:
    """Whether beta.vm has the address ``expected`` now, or with None, whether it has none."""

    def ask() -> bool:
        try:
            reply = by_udp(("127.0.0.1", port), query().pack())
        except ConnectionRefusedError:  # dns registers before it listens
            return False
        found = str(reply.rr[0].rdata) if reply.rr else None
        return found == expected

    return ask


def test_name_comes_and_goes_with_the_vm(stack: Stack, port: int) -> None:
    stack.start("dns")
    vm = stack.reserve("bbbbbbbbbbbb", "beta")
    eventually(lambda: stack.call("dns", "dns.status")["listening"])
    assert resolves(port, None)()
    stack.call("store", "vm.update", id=vm["id"], state="running")
    eventually(resolves(port, vm["address"]), patience=2)
    stack.call("store", "vm.update", id=vm["id"], state="stopped")
    eventually(resolves(port, None), patience=2)


def test_names_are_there_after_a_crash_of_dns_and_of_the_store(stack: Stack, port: int) -> None:
    vm = stack.reserve("bbbbbbbbbbbb", "beta")
    stack.call("store", "vm.update", id=vm["id"], state="running")
    stack.start("dns")
    eventually(resolves(port, vm["address"]))
    stack.kill("dns")
    stack.kill("store")
    stack.start("store")
    stack.start("dns")
    eventually(resolves(port, vm["address"]))
    stack.call("store", "vm.remove", id=vm["id"])
    eventually(resolves(port, None), patience=2)


def test_names_follow_again_after_a_crash_of_the_broker(stack: Stack, port: int) -> None:
    stack.start("dns")
    vm = stack.reserve("bbbbbbbbbbbb", "beta")
    stack.kill("broker")
    stack.start("broker")
    eventually(lambda: {"store", "dns"} <= stack.registered().keys())
    stack.call("store", "vm.update", id=vm["id"], state="running")
    eventually(resolves(port, vm["address"]))


def test_port_in_use_is_told_and_taken_when_it_is_free(stack: Stack, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
        squatter.bind(("127.0.0.1", port))
        stack.start("dns")
        named = f"cannot listen on 127.0.0.1:{port}"
        eventually(lambda: named in stack.call("dns", "dns.status")["problem"])
        assert not stack.call("dns", "dns.status")["listening"]
    eventually(lambda: stack.call("dns", "dns.status")["listening"])
    assert stack.call("dns", "dns.status")["problem"] == ""
