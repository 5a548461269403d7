"""A port that is reserved is nobody else's, and nobody is answered there."""

import os
import socket

import pytest

from services.vm_supervisor.network import host_ports
from services.vm_supervisor.network.host_ports import bind, holder_of, reserve, socket_inodes
from shared.contract.messages.vm import Protocol, Publication
from shared.errors import BangerError, Code
from tests.loopback import OWN_ADDRESS

HOST = OWN_ADDRESS
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
BOTH: tuple[Protocol, ...] = ("tcp", "udp")


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago, of an address of this test's own."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        free: int = probe.getsockname()[1]
        return free


def publication(port: int, protocol: Protocol = "tcp") -> Publication:
    return Publication(host_address=HOST, host_port=port, guest_port=80, protocol=protocol)


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize("reuse", [False, True])
def test_nobody_else_can_bind_it(port: int, protocol: Protocol, reuse: bool) -> None:
    with bind(protocol, HOST, port), socket.socket(socket.AF_INET, KINDS[protocol]) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        with pytest.raises(OSError, match="in use"):
            other.bind((HOST, port))


@pytest.mark.parametrize("protocol", BOTH)
def test_not_even_another_reservation(port: int, protocol: Protocol) -> None:
    with bind(protocol, HOST, port):
        with pytest.raises(BangerError) as refused:
            bind(protocol, HOST, port)
        assert refused.value.code is Code.CONFLICT
        with pytest.raises(BangerError):
            bind(protocol, "0.0.0.0", port)
    bind(protocol, HOST, port).close()


def test_a_connection_is_refused_as_if_nobody_were_there(port: int) -> None:
    with bind("tcp", HOST, port), pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port), 5)


def test_connections_of_the_last_holder_are_not_in_the_way(port: int) -> None:
    """They stay for a minute in TIME_WAIT, on the side that closes first."""
    with socket.create_server((HOST, port)) as server:
        client = socket.create_connection((HOST, port))
        held, _ = server.accept()
        held.close()
        client.close()
    bind("tcp", HOST, port).close()


@pytest.mark.parametrize("protocol", BOTH)
def test_who_has_it_is_named(port: int, protocol: Protocol) -> None:
    with socket.socket(socket.AF_INET, KINDS[protocol]) as holder:
        holder.bind((HOST, port))
        if protocol == "tcp":
            holder.listen()
        with pytest.raises(BangerError) as refused:
            reserve(publication(port, protocol))
    assert refused.value.code is Code.CONFLICT
    assert f"{protocol} port {port} of {HOST} is taken by" in refused.value.message
    assert f"(pid {os.getpid()})" in refused.value.message


def test_an_address_of_somebody_else_is_refused(port: int) -> None:
    with pytest.raises(BangerError, match=r"192\.0\.2\.1 is not an address of this host"):
        bind("tcp", "192.0.2.1", port)


def test_a_port_of_roots_is_done_without_unless_somebody_has_it(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> socket.socket:
        raise BangerError(Code.DENIED, "root's")

    monkeypatch.setattr(host_ports, "bind", denied)
    assert reserve(publication(port)) is None
    with socket.create_server((HOST, port)), pytest.raises(BangerError, match="is taken by"):
        reserve(publication(port))


HEADER = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


def line(address: str, port: int, state: str, inode: int) -> bytes:
    return (
        f"   0: {address}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 "
        f"00000000     0        0 {inode} 1 0000000000000000 100 0 0 10 0\n"
    ).encode()


def test_listening_sockets_of_the_address_or_of_all_hold_it() -> None:
    table = (
        HEADER
        + line("0100007F", 80, "0A", 1)
        + line("00000000", 80, "0A", 2)
        + line("0200007F", 80, "0A", 3)
        + line("0100007F", 81, "0A", 4)
        + line("0100007F", 80, "06", 5)  # time-wait
    )
    assert list(socket_inodes("tcp", table, "127.0.0.1", 80)) == [1, 2]
    assert list(socket_inodes("tcp", table, "0.0.0.0", 80)) == [1, 2, 3]


def test_a_udp_socket_holds_its_port_connected_or_not() -> None:
    table = HEADER + line("0100007F", 53, "07", 1) + line("0100007F", 53, "01", 2)
    assert list(socket_inodes("udp", table, "127.0.0.1", 53)) == [1, 2]


def test_a_line_cut_short_is_passed_over() -> None:
    assert list(socket_inodes("tcp", HEADER + b"   0: 0100007F:0050\n", "127.0.0.1", 80)) == []


def test_this_very_process_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        holder = holder_of("tcp", "127.0.0.1", port)
    assert holder
    assert holder.endswith(f"(pid {os.getpid()})")
    assert holder_of("tcp", "127.0.0.1", port) is None
