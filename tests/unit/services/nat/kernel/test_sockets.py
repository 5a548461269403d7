"""The owners of open sockets, read from this machine's own tables."""

import os
import socket

import pytest

from services.nat.kernel.sockets import other_holder, ports_of_others
from shared.host import socket_table


def test_this_machines_tables_are_read() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", 0))
        ours = {("tcp", tcp.getsockname()[1]), ("udp", udp.getsockname()[1])}
        assert ours <= ports_of_others(os.geteuid() + 1)
        assert not ours & ports_of_others(os.geteuid())


def test_a_connection_waits_for_nobody() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert ("tcp", client.getsockname()[1]) not in ports_of_others(os.geteuid() + 1)


def test_many_sockets_of_one_user_hide_none_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_table, "MAX_TABLE_BYTES", 0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ("tcp", server.getsockname()[1]) in ports_of_others(os.geteuid() + 1)


@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
def test_holder_of_a_port_is_found_at_the_address_or_at_all(bound: str) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind((bound, 0))
        port = udp.getsockname()[1]
        assert other_holder(os.geteuid() + 1, "127.0.0.1", port) == os.geteuid()
        assert other_holder(os.geteuid(), "127.0.0.1", port) is None
        elsewhere = other_holder(os.geteuid() + 1, "127.0.0.2", port)
        assert elsewhere == (os.geteuid() if bound == "0.0.0.0" else None)
