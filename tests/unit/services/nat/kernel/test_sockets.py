"""Whose sockets wait, read from this machine's own tables."""

import os
import socket

from services.nat.kernel.sockets import ports_of_others


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
